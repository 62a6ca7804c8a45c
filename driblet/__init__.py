"""The command line that joins the parts."""
