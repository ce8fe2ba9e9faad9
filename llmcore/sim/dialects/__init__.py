"""One file per dialect; each understands requests on its own, without a look at our wires."""
