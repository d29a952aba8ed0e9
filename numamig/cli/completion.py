"""``numamig completion``: the script that lets a shell complete words, and what it is told when it asks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

from numamig.cli.options import Shared, print_json
from numamig.cli.options import command as numamig_command
from numamig.cli.suggest import PATH
from numamig.errors import UsageError

__all__ = ["command", "speak_to_shells"]

_BASH = r"""%(complete_func)s() {
    local IFS=$'\n' line type value
    COMPREPLY=()
    while IFS= read -r line; do
        type=${line%%%%,*} value=${line#*,}
        if [[ $type == path ]]; then
            compopt -o filenames
        fi
        COMPREPLY+=("$value")
    done < <(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD %(complete_var)s=bash_complete "$1" 2>/dev/null)
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""
"""Needs bash 4.4 for nosort."""

_ZSH = r"""#compdef %(prog_name)s

%(complete_func)s() {
    local -a response words_only with_help files folders
    local type value about
    response=("${(@f)$(COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT-1)) %(complete_var)s=zsh_complete \
        ${words[1]} 2>/dev/null)}")
    for type value about in ${response}; do
        if [[ $type == path ]]; then
            if [[ $value == */ ]]; then folders+=("$value"); else files+=("$value"); fi
        elif [[ $about == _ ]]; then
            words_only+=("$value")
        else
            with_help+=("${value//:/\\:}:$about")
        fi
    done
    (( $#with_help )) && _describe -V unsorted with_help -U
    (( $#words_only )) && compadd -U -V unsorted -a words_only
    (( $#files )) && compadd -U -f -V unsorted -a files
    (( $#folders )) && compadd -U -f -V unsorted -S '' -a folders
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""
_FISH = r"""function %(complete_func)s
    set -l words (commandline -opc) (commandline -ct)
    env %(complete_var)s=fish_complete COMP_CWORD=(math (count $words) - 1) COMP_WORDS=(string escape -- $words | \
        string join ' ') $words[1] 2>/dev/null
end

complete --no-files --keep-order --command %(prog_name)s --arguments '(%(complete_func)s)'
"""


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


class _Bash(BashComplete):
    source_template = _BASH

    @staticmethod
    def _check_version() -> None:
        """The script is printed for whoever asks: it need not be for this machine."""

    def words(self) -> tuple[list[str], str]:
        """Those before the one that is being typed, and that one, as the environment has them."""
        return BashComplete.get_completion_args(self)

    def get_completion_args(self) -> tuple[list[str], str]:
        # Bash breaks words at "=": --to=1 comes as three.
        args, incomplete = self.words()
        return [word for word in args if word != "="], "" if incomplete == "=" else incomplete

    def format_completion(self, item: CompletionItem[str]) -> str:
        value = item.value.removesuffix("/") if item.type == PATH else item.value  # it adds a slash by itself
        return f"{item.type},{value}"


class _WholeWord(ShellComplete):
    """For shells that take ``--to=1`` for one word: then that is what is completed, and not the ``1``."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        name, equals, _ = incomplete.partition("=")
        found = super().get_completions(args, incomplete)
        if not (equals and name.startswith("-")):
            return found
        return [CompletionItem(f"{name}={item.value}", item.type, item.help) for item in found]


class _Zsh(_WholeWord, ZshComplete):
    source_template = _ZSH

    def format_completion(self, item: CompletionItem[str]) -> str:
        return f"{item.type}\n{item.value}\n{_one_line(item.help) or '_'}"


class _Fish(_WholeWord, FishComplete):
    source_template = _FISH

    def get_completion_args(self) -> tuple[list[str], str]:
        return _Bash(self.cli, self.ctx_args, self.prog_name, self.complete_var).words()  # they come in the same way

    def format_completion(self, item: CompletionItem[str]) -> str:
        about = _one_line(item.help)
        return f"{item.value}\t{about}" if about else item.value


_SHELLS: Final[dict[str, type[ShellComplete]]] = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}


def speak_to_shells() -> None:
    """Answer those that ask as our scripts expect it."""
    for name, spoken in _SHELLS.items():
        add_completion_class(spoken, name)


@numamig_command("completion")
@click.argument("shell", type=click.Choice(list(_SHELLS)), required=False)
def command(_shared: Shared, shell: str | None, as_json: bool) -> None:
    """Print the script that lets your shell complete commands, options, nodes, processes, jobs and profiles.

    \b
    Examples:
      source <(numamig completion bash)
      numamig completion bash > ~/.local/share/bash-completion/completions/numamig
      numamig completion zsh > ~/.zfunc/_numamig
      numamig completion fish > ~/.config/fish/completions/numamig.fish

    The first is for the shell at hand, the others for all that are started from then on; the folders must exist. For
    zsh, ~/.zshrc has to name the folder before it calls compinit: fpath+=~/.zfunc. bash must be 4.4 or later.
    Without SHELL it is the one that SHELL in the environment names.
    """
    name = shell or Path(os.environ.get("SHELL", "")).name
    if name not in _SHELLS:
        raise UsageError(f"there is no completion for {name or 'no shell'}", hint=f"name one of {', '.join(_SHELLS)}")
    from numamig.cli import ASKED, cli

    script = _SHELLS[name](cli, {}, "numamig", ASKED).source()
    if as_json:
        print_json({"shell": name, "script": script})
    else:
        click.echo(script, nl=False)
