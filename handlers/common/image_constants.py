"""Constants of image processing that are published: the worker keeps to them, and admin shows them."""

#: Mean luma of the subject's pixels, 0 to 255; a darker subject gets a black ground, any other a white one.
BRIGHTNESS_THRESHOLD = 128.0
#: Pixels; a longer picture is scaled down to it.
MAX_SIDE = 4096
#: Pixels; a subject narrower or lower is no cut-out worth keeping.
MIN_SUBJECT_SIDE = 100
#: Pixels, both sides, and JPEG's quality, 1 to 95.
THUMBNAIL_SIDE = 300
THUMBNAIL_QUALITY = 85
#: Types of a book's pictures, the first that there is becomes the source; then the primary, then the one asked for.
SOURCE_PRIORITY = ("title_page", "binding", "cover", "spine")
