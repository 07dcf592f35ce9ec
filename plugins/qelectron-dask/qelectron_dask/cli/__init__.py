"""Commands that the plugin adds to `qelectron`."""
