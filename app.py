"""The entry of the app: page set-up and navigation."""

from ui.shell import main

main()
