"""An image whose data is not what it should be."""
from .errors import PluginError


def damaged(what):
    return PluginError('IMAGE_DAMAGED', 'the image is damaged: %s' % what)


def must(holds, what, *values):
    """`what` is made up with the values only where it does not hold."""
    if not holds:
        raise damaged(what % values if values else what)
