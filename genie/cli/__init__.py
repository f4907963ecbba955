"""The command line: one module a subcommand, registered in `genie.cli.app`."""
