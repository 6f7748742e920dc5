"""The plugin's version, and that of what it understands and answers."""

VERSION = '2.1.0'
API = 4
