"""The documentation site: the pages of docs/ joined with what is made from the code."""
