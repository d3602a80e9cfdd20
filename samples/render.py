"""Renders book-like pictures whose true mask is known, because the mask is drawn from the same geometry.

`python -m samples.render` writes `rendered/` and `failing/` again. Seeds are fixed and belong to the scene, so the
pictures stay the same; they were made before the cut-out was tuned on anything.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

HERE = Path(__file__).parent
WIDTH, HEIGHT = 1500, 1125
SUPERSAMPLE = 3
"""The true mask is drawn this much larger and scaled down, so that its edge is anti-aliased."""
JPEG_QUALITY = 88
ORIENTATION_TAG, TURNED_RIGHT = 0x0112, 6
"""EXIF orientation 6: stored pixels must be turned 90 degrees clockwise to stand upright."""

Pixels = NDArray[np.floating[Any]]
Colour = tuple[int, int, int]
Point = tuple[float, float]
Quad = tuple[Point, Point, Point, Point]
"""Corners in the order top left, top right, bottom right, bottom left; fractions of the picture's width and height."""


def noise(rng: np.random.Generator, size: tuple[int, int], grain: tuple[float, float], octaves: int = 4) -> Pixels:
    """Smooth value noise in [-1, 1]: random grids, each twice as fine and half as strong, scaled up and added.

    Parameters
    ----------
    size : (int, int)
        Width and height in pixels.
    grain : (float, float)
        Cells across and down in the coarsest grid; unequal ones give streaks, as in wood.
    """
    width, height = size
    total: Pixels = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        cells = (max(2, round(grain[0] * 2**octave)), max(2, round(grain[1] * 2**octave)))
        grid = Image.fromarray(rng.uniform(-1, 1, (cells[1], cells[0])).astype(np.float32))
        total += np.asarray(grid.resize(size, Image.Resampling.BICUBIC)) / 2**octave
    total /= np.abs(total).max()
    return total


def tinted(colour: Colour, strength: Pixels, amount: float) -> Pixels:
    """One colour, made lighter and darker by `amount` times the noise."""
    return np.asarray(colour, np.float32) * (1 + amount * strength[..., None])


def wood(rng: np.random.Generator, size: tuple[int, int], colour: Colour) -> Pixels:
    """Planks: streaked grain with fine fibres and a dark joint every so often."""
    height = size[1]
    surface = tinted(colour, 0.7 * noise(rng, size, (3, 40)) + 0.3 * noise(rng, size, (8, 220), 2), 0.22)
    for joint in range(height // 5, height, height // 4):
        surface[joint : joint + 3] *= 0.45
    return surface


def cloth(rng: np.random.Generator, size: tuple[int, int], colour: Colour) -> Pixels:
    """A weave: two crossed sine waves a few pixels long, over soft stains."""
    width, height = size
    across = np.sin(np.arange(width, dtype=np.float32) * 1.9)[None, :]
    down = np.sin(np.arange(height, dtype=np.float32) * 1.9)[:, None]
    return tinted(colour, 0.5 * noise(rng, size, (4, 3)) + 0.25 * across * down, 0.12)


def paper(rng: np.random.Generator, size: tuple[int, int], colour: Colour) -> Pixels:
    """Nearly even, with faint blotches."""
    return tinted(colour, noise(rng, size, (5, 4)), 0.025)


def leather(rng: np.random.Generator, size: tuple[int, int], colour: Colour) -> Pixels:
    """Fine grain over worn patches."""
    return tinted(colour, 0.6 * noise(rng, size, (6, 6)) + 0.4 * noise(rng, size, (90, 120), 2), 0.25)


Texture = Callable[[np.random.Generator, tuple[int, int], Colour], Pixels]


def picture_of(pixels: Pixels) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def lettering(face: Image.Image, text: str, ink: Colour, frame: bool) -> None:
    """Draw a title, one word a line, and a double frame as bookbinders tool it."""
    draw = ImageDraw.Draw(face)
    width, height = face.size
    if frame:
        for inset, line in ((0.06, 5), (0.08, 2)):
            edge = inset * width
            draw.rectangle((edge, edge, width - edge, height - edge), outline=ink, width=line)
    for row, word in enumerate(text.split()):
        font = ImageFont.load_default(size=min(height * 0.09, 1.25 * width / max(len(word), 4)))
        draw.text((width / 2, height * (0.25 + 0.13 * row)), word, fill=ink, font=font, anchor="mm")


@dataclass(frozen=True)
class Face:
    """One flat side of a book, or a flat thing beside it that belongs to it (a ribbon)."""

    corners: Quad
    colour: Colour
    texture: Texture = leather
    text: str = ""
    ink: Colour = (212, 175, 95)
    frame: bool = False
    rows: bool = False
    """Ruled with page edges or lines of print, in `ink`."""
    light: float = 1.0


@dataclass(frozen=True)
class Scene:
    """One picture: what lies in it, on what, and how it is lit."""

    name: str
    seed: int
    faces: tuple[Face, ...]
    ground: Colour
    ground_texture: Texture
    shadow: float = 0.45
    """Darkest part of the cast shadow: 0 is none, 1 is black."""
    shadow_offset: Point = (0.012, 0.016)
    shadow_blur: float = 18.0
    light_from: Point = (-0.6, -0.8)
    hard: bool = False
    sideways: bool = False
    """Stored turned, with the EXIF orientation that puts it upright."""
    size: tuple[int, int] = field(default=(WIDTH, HEIGHT))


def box(left: float, top: float, right: float, bottom: float, lean: float = 0.0) -> Quad:
    """An upright rectangle, its top edge moved sideways by `lean`."""
    return ((left + lean, top), (right + lean, top), (right, bottom), (left, bottom))


def perspective(source: tuple[int, int], corners: NDArray[np.float64]) -> list[float]:
    """Coefficients with which PIL maps an output pixel back into `source` (width, height) so that it fills `corners`.

    The eight unknowns of a homography from four point pairs: Hartley & Zisserman, Multiple View Geometry, 2nd ed., 4.1.
    """
    width, height = source
    flat = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
    rows, values = [], []
    for (x, y), (u, v) in zip(corners, flat, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return [float(value) for value in np.linalg.solve(np.array(rows), np.array(values))]


NARROW = 90
"""Pixels: a ruled face thinner than this shows the edges of pages, a wider one lines of print."""


def rule(
    face: Image.Image, ink: Colour, rng: np.random.Generator, *, top: int, margin: int, step: int, line: int
) -> None:
    """Draw page edges (no margin) or lines of print with a ragged right edge."""
    draw = ImageDraw.Draw(face)
    width, height = face.size
    for row in range(top or step, height - margin, step):
        end = width - margin - (rng.uniform(0, 0.15) * width if margin else 0)
        draw.line((margin, row, end, row), fill=ink, width=line)


def paint(face: Face, rng: np.random.Generator) -> Image.Image:
    """The face as one would see it straight on."""
    corners = np.array(face.corners) * (WIDTH, HEIGHT)
    width = max(24, round(float(np.hypot(*(corners[1] - corners[0])))))
    height = max(24, round(float(np.hypot(*(corners[3] - corners[0])))))
    flat = picture_of(face.texture(rng, (width, height), face.colour) * face.light)
    if face.rows and min(flat.size) < NARROW:
        rule(flat, face.ink, rng, top=0, margin=0, step=7, line=1)
    elif face.rows:
        rule(flat, face.ink, rng, top=round(0.46 * height), margin=round(0.12 * width), step=22, line=5)
    if face.text:
        lettering(flat, face.text, face.ink, face.frame)
    return flat


def true_mask(scene: Scene) -> Image.Image:
    """What belongs to the subject: the union of all its faces, 8-bit, anti-aliased."""
    size = (scene.size[0] * SUPERSAMPLE, scene.size[1] * SUPERSAMPLE)
    large = Image.new("L", size)
    draw = ImageDraw.Draw(large)
    for face in scene.faces:
        draw.polygon([(x * size[0], y * size[1]) for x, y in face.corners], fill=255)
    return large.resize(scene.size, Image.Resampling.BOX)


def render(scene: Scene) -> tuple[Image.Image, Image.Image]:
    """Draw a scene.

    Returns
    -------
    (picture, mask) : PIL images of `scene.size`, RGB and L
    """
    rng = np.random.default_rng(scene.seed)
    width, height = scene.size
    mask = true_mask(scene)
    canvas = scene.ground_texture(rng, scene.size, scene.ground)
    moved = Image.new("L", scene.size)
    moved.paste(mask, (round(scene.shadow_offset[0] * width), round(scene.shadow_offset[1] * height)))
    cast = np.asarray(moved.filter(ImageFilter.GaussianBlur(scene.shadow_blur)), np.float32) / 255
    canvas *= 1 - scene.shadow * cast[..., None]
    picture = picture_of(canvas)
    for face in scene.faces:
        corners = np.array(face.corners) * (width, height)
        flat = paint(face, rng)
        placed = flat.transform(
            scene.size, Image.Transform.PERSPECTIVE, perspective(flat.size, corners), Image.Resampling.BICUBIC
        )
        area = Image.new("L", (width * SUPERSAMPLE, height * SUPERSAMPLE))
        ImageDraw.Draw(area).polygon([tuple(point) for point in corners * SUPERSAMPLE], fill=255)
        picture.paste(placed, mask=area.resize(scene.size, Image.Resampling.BOX))
    return expose(scene, picture, rng), mask


def expose(scene: Scene, picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """What lens and sensor add: light falling off from one side, slight blur, grain."""
    width, height = scene.size
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    light = 1 + 0.10 * (x * scene.light_from[0] + y * scene.light_from[1]) - 0.06 * (x * x + y * y)
    pixels = np.asarray(picture.filter(ImageFilter.GaussianBlur(0.8)), np.float32) * light[..., None]
    return picture_of(pixels + rng.normal(0, 2.2, pixels.shape).astype(np.float32))


CREAM, BLACK_INK, GILT = (236, 226, 202), (60, 52, 46), (212, 175, 95)

SCENES = (
    Scene(
        "calf_on_oak",
        11,
        ground=(196, 160, 112),
        ground_texture=wood,
        faces=(
            Face(
                ((0.71, 0.15), (0.745, 0.17), (0.745, 0.89), (0.71, 0.87)), CREAM, paper, rows=True, ink=(180, 168, 140)
            ),
            Face(box(0.28, 0.14, 0.715, 0.875), (110, 62, 34), text="TRAVELS IN ARABIA", frame=True),
        ),
    ),
    Scene(
        "red_cloth_on_grey",
        12,
        ground=(176, 178, 180),
        ground_texture=paper,
        faces=(
            Face(((0.27, 0.22), (0.64, 0.13), (0.76, 0.80), (0.37, 0.91)), (150, 30, 36), cloth, "POEMS", frame=True),
        ),
    ),
    Scene(
        "green_cloth_standing",
        13,
        ground=(206, 198, 186),
        ground_texture=paper,
        shadow_offset=(0.03, 0.01),
        faces=(
            Face(((0.33, 0.10), (0.43, 0.14), (0.43, 0.92), (0.33, 0.86)), (26, 66, 46), cloth, "FLORA", light=0.75),
            Face(
                ((0.43, 0.14), (0.72, 0.10), (0.72, 0.85), (0.43, 0.92)),
                (34, 86, 58),
                cloth,
                "FLORA BRITANNICA",
                frame=True,
            ),
        ),
    ),
    Scene(
        "spine_upright",
        14,
        ground=(222, 214, 200),
        ground_texture=cloth,
        faces=(Face(box(0.41, 0.06, 0.58, 0.94), (92, 40, 30), text="GIBBON ROME VOL III"),),
    ),
    Scene(
        "open_on_walnut",
        15,
        ground=(92, 62, 40),
        ground_texture=wood,
        faces=(
            Face(
                ((0.13, 0.21), (0.50, 0.24), (0.50, 0.86), (0.11, 0.83)),
                CREAM,
                paper,
                "PREFACE",
                BLACK_INK,
                rows=True,
                light=0.95,
            ),
            Face(
                ((0.50, 0.24), (0.88, 0.21), (0.90, 0.83), (0.50, 0.86)), CREAM, paper, "CHAPTER", BLACK_INK, rows=True
            ),
        ),
    ),
    Scene(
        "title_page_sideways",
        16,
        ground=(70, 92, 112),
        ground_texture=cloth,
        sideways=True,
        faces=(Face(box(0.29, 0.09, 0.71, 0.92, lean=0.012), CREAM, paper, "THE HISTORY", BLACK_INK, rows=True),),
    ),
    Scene(
        "blue_boards_two_volumes",
        17,
        ground=(188, 150, 116),
        ground_texture=wood,
        faces=(
            Face(
                ((0.18, 0.30), (0.52, 0.24), (0.58, 0.84), (0.22, 0.92)),
                (42, 60, 108),
                cloth,
                "WORKS VOL I",
                frame=True,
            ),
            Face(
                ((0.44, 0.12), (0.78, 0.17), (0.74, 0.80), (0.40, 0.76)),
                (48, 68, 120),
                cloth,
                "WORKS VOL II",
                frame=True,
            ),
        ),
    ),
    Scene(
        "dark_on_dark",
        21,
        ground=(38, 36, 38),
        ground_texture=cloth,
        shadow=0.5,
        hard=True,
        faces=(
            Face(
                box(0.27, 0.13, 0.70, 0.88, lean=0.01),
                (52, 38, 34),
                text="BLACK LETTER BIBLE",
                ink=(140, 114, 62),
                frame=True,
            ),
        ),
    ),
    Scene(
        "white_on_white",
        22,
        ground=(236, 236, 234),
        ground_texture=paper,
        shadow=0.22,
        hard=True,
        faces=(
            Face(
                ((0.72, 0.14), (0.745, 0.165), (0.745, 0.885), (0.72, 0.87)),
                (216, 208, 190),
                paper,
                rows=True,
                ink=(190, 182, 164),
            ),
            Face(box(0.29, 0.14, 0.72, 0.87), (242, 238, 228), paper, "VELLUM", (120, 104, 84)),
        ),
    ),
    Scene(
        "ribbon",
        23,
        ground=(204, 188, 160),
        ground_texture=wood,
        hard=True,
        faces=(
            Face(((0.47, 0.80), (0.495, 0.80), (0.515, 0.975), (0.485, 0.985)), (160, 22, 30), cloth, light=0.95),
            Face(
                ((0.69, 0.10), (0.72, 0.12), (0.72, 0.85), (0.69, 0.83)), CREAM, paper, rows=True, ink=(180, 168, 140)
            ),
            Face(box(0.28, 0.09, 0.69, 0.83), (38, 36, 78), text="COMMON PRAYER", frame=True),
        ),
    ),
    Scene(
        "hard_shadow",
        24,
        ground=(214, 208, 200),
        ground_texture=paper,
        shadow=0.78,
        shadow_offset=(0.085, 0.06),
        shadow_blur=5,
        hard=True,
        faces=(Face(box(0.25, 0.12, 0.66, 0.84), (128, 84, 48), text="VOYAGES", frame=True),),
    ),
)


def jpeg(picture: Image.Image, sideways: bool = False) -> bytes:
    """Encode as the sample files are; `sideways` turns the pixels and says so in EXIF."""
    out = io.BytesIO()
    exif = Image.Exif()
    if sideways:
        picture = picture.transpose(Image.Transpose.ROTATE_90)  # counter-clockwise: orientation 6 turns it back
        exif[ORIENTATION_TAG] = TURNED_RIGHT
    picture.save(out, "JPEG", quality=JPEG_QUALITY, exif=exif)
    return out.getvalue()


def blank_sheet() -> Image.Image:
    """Paper and nothing on it: there is no subject to find."""
    rng = np.random.default_rng(31)
    return picture_of(paper(rng, (WIDTH, HEIGHT), (232, 229, 222)) + rng.normal(0, 2.2, (HEIGHT, WIDTH, 3)))


def main() -> None:
    """Write every rendered picture, its true mask, and the two files that cannot be processed."""
    rendered, failing = HERE / "rendered", HERE / "failing"
    for folder in (rendered, failing):
        folder.mkdir(exist_ok=True)
    for scene in SCENES:
        picture, mask = render(scene)
        (rendered / f"{scene.name}.jpg").write_bytes(jpeg(picture, scene.sideways))
        mask.save(rendered / f"{scene.name}.truth.png", optimize=True)
    (failing / "no_subject.jpg").write_bytes(jpeg(blank_sheet()))
    whole = (rendered / "calf_on_oak.jpg").read_bytes()
    (failing / "broken.jpg").write_bytes(whole[: len(whole) // 3])


if __name__ == "__main__":
    main()
