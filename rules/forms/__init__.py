"""What a person may write in a file: its fields, tests of values, and the problems of what is wrong."""
