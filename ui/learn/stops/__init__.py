"""The stops of the path, a file each; ``ui.learn.path`` lists them in order."""
