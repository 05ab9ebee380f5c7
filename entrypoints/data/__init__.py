"""The candle store from the command line: fetching, listing, checking. docs/data.md is for users."""
