"""The operators' command line: `sampan`. docs/cli.md lists its commands and exit codes."""
