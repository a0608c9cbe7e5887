"""The ways one call is made: bare, through both chains, through the usual glue, over HTTP. Each is one file."""
