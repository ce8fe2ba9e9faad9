"""What a call costs beside other clients, measured in one run; `README.md` has the method."""
