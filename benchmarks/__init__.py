"""Speed and memory, as ratios of what was measured side by side in one run; each module prints text, or JSON."""
