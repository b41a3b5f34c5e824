"""Commands that turn published data sets and folders of MIDI into what `m2bert` reads."""
