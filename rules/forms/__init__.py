"""What a person may write in a file: its fields, tests of values, and what is said of a mistake."""
