"""What is run in the place of images that only a registry has."""

from stacks import stack_images  # noqa: F401 (a fixture)
