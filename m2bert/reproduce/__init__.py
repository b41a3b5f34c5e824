"""From corpora and labelled data to the table of all objectives, within a time limit."""
