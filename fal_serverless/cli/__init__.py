"""The command: thin functions around the stages, one renderer for results and errors."""
