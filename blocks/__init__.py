"""What a profile is, and the CAPO properties that it is read from."""

from blocks.errors import Origin, Problem, ProfileError
from blocks.profile import Profile, Setting

__all__ = ["Origin", "Problem", "Profile", "ProfileError", "Setting"]
