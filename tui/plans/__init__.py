"""What the operator has chosen, as values: targets, fields, and the requests that they come to."""
