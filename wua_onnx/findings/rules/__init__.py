"""The rules, one function each, one file for each family; a file that is added here is found by itself."""
