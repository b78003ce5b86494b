"""The forms of files that people write: fields, tests of values, and problems."""
