"""An actor: one person who can be driven, as a folder that says whose rights it stands on. No pickle, every file
hashed."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from facewitness.errors import UnreadableInputError
from facewitness.files import sha256_file, to_json, whole_file, write_text
from facewitness.generator.bank import FullFrames, load_squares
from facewitness.generator.performance import Performance
from facewitness.generator.shapes import Shapes, shapes_of
from facewitness.generator.square import FaceSquare
from facewitness.generator.synthesis import Finish, Refine, Synthesiser
from facewitness.generator.warp import usual_follow

if TYPE_CHECKING:
    from facewitness.generator.backdrop import Backdrop
    from facewitness.generator.hair import Bald

SCHEMA = "facewitness.actor/1"
CARD = "actor.json"
FILES = {
    "weights": "weights.safetensors",
    "squares": "squares.mp4",
    "frames": "frames.mp4",
    "performance": "performance.npz",
    "texture": "texture.npz",
    "preview": "preview.png",
}
"""Every file of the folder beside the card, by what it holds."""


@dataclass(frozen=True)
class Actor:
    """A trained person, opened from its folder; the frames are read when they are first needed."""

    path: Path
    card: dict[str, Any]
    """What ``actor.json`` says: rights, source, size, poses seen, figures on the footage held out, hashes."""

    @property
    def name(self) -> str:
        """What to call the actor."""
        return str(self.card["name"])

    @property
    def rights(self) -> str:
        """The statement of licence or consent the actor stands on."""
        return str(self.card["rights"])

    @cached_property
    def sha256(self) -> str:
        """Hash of the card, which holds the hashes of all other files."""
        return sha256_file(self.path / CARD)

    @property
    def square(self) -> FaceSquare:
        """Where the modelled square lies in the full frame."""
        return FaceSquare(**self.card["square"])

    @property
    def frame_size(self) -> tuple[int, int]:
        """Width and height of the full frame."""
        return self.card["frame"]["width"], self.card["frame"]["height"]

    @cached_property
    def shapes(self) -> Shapes:
        """Shapes of the stored frames, in the square's pixels."""
        return self.square.shapes(shapes_of(self.performance))

    @cached_property
    def performance(self) -> Performance:
        """What the person does in the stored frames."""
        from facewitness.generator.reconstruct import load_performance

        return load_performance(self.path / FILES["performance"])

    @cached_property
    def texture(self) -> NDArray[np.float32]:
        """(192, 192, 3) mean colours of the face."""
        with np.load(self.path / FILES["texture"], allow_pickle=False) as stored:
            return stored["texture"].astype(np.float32)

    @cached_property
    def follow(self) -> NDArray[np.float32]:
        """(R, 2, 8) how hair and neck follow the head, see ``surround.learn_follow``."""
        with np.load(self.path / FILES["texture"], allow_pickle=False) as stored:
            return stored["follow"].astype(np.float32) if "follow" in stored else usual_follow()

    @cached_property
    def parts(self) -> NDArray[np.uint8] | None:
        """(S, S, 2) what goes with head and torso, see ``surround.learn_parts``; None where that was not learnt."""
        with np.load(self.path / FILES["texture"], allow_pickle=False) as stored:
            return stored.get("parts")

    @cached_property
    def squares(self) -> NDArray[np.uint8]:
        """(N, S, S, 3) the face's square of every stored frame."""
        return load_squares(self.path / FILES["squares"], frames=self.card["frames"], size=self.card["size"])

    def full_frames(self) -> FullFrames:
        """Access to the whole stored frames."""
        width, height = self.frame_size
        return FullFrames(self.path / FILES["frames"], width=width, height=height)

    @property
    def holdout_from(self) -> int:
        """First stored frame that was held out of training."""
        return int(self.card["holdout_from"])

    @cached_property
    def bald(self) -> "Bald":
        """What takes the hair off this actor's frames; looks through the footage when first asked for."""
        from facewitness.generator.hair import Bald

        return Bald(self)

    @property
    def background_moves(self) -> bool:
        """Whether the background of the footage was found to move."""
        return bool(self.card.get("background_moves", False))

    def backdrop(self) -> "Backdrop":
        """The footage's background, playing on by itself; looks through the footage first."""
        from facewitness.generator.backdrop import Backdrop

        return Backdrop(self.full_frames(), int(self.card["frames"]), *self.frame_size)

    @property
    def kind(self) -> type[Synthesiser]:
        """What makes pictures with a network of this actor's preset."""
        from facewitness.generator.paper import PaperSynthesiser

        return PaperSynthesiser if self.card["preset"] == "paper" else Synthesiser

    def synthesiser(self, *, refine: Refine | None = None, finish: Finish | None = None) -> Synthesiser:
        """What makes pictures of this actor; with the trained network unless ``refine`` says another."""
        return self.kind(
            self.squares, self.shapes, self.texture, refine=refine or self.refine(),
            finish=finish or Finish(**self.card["finish"]), follow=self.follow, parts=self.parts,
        )  # fmt: skip

    def refine(self, *, engine: str = "openvino", device: str = "cpu") -> Refine | None:
        """The trained network as a function; None for an actor that was not trained (zero minutes)."""
        if not self.card["network"]:
            return None
        from facewitness.generator.inference import load_refine

        return load_refine(self.path / FILES["weights"], self.card["network"], engine=engine, device=device)


def load_actor(path: Path, *, check: bool = True) -> Actor:
    """Open an actor's folder; with ``check`` every file's hash is compared with the card.

    Raises UnreadableInputError where the folder is no actor, is unfinished, or was changed.
    """
    path = Path(path)
    try:
        card = json.loads((path / CARD).read_text(encoding="utf-8"))
    except OSError as e:
        raise UnreadableInputError(
            f"{path} holds no finished actor ({CARD} cannot be read); make one with `facewitness actor train`."
        ) from e
    except ValueError as e:
        raise UnreadableInputError(f"{path / CARD} is damaged; train the actor again.") from e
    if card.get("schema") != SCHEMA:
        raise UnreadableInputError(
            f"{path / CARD} is of another kind or version ({card.get('schema')}); train it again."
        )
    if card.get("basis_sha256") != basis_sha256():
        raise UnreadableInputError(
            f"{path} was made with another expression basis than this installation's; train it again."
        )
    for name, digest in card["sha256"].items() if check else ():
        file = path / name
        if not file.is_file() or sha256_file(file) != digest:
            raise UnreadableInputError(f"{file} is missing or was changed since the actor was trained; train it again.")
    return Actor(path, card)


def basis_sha256() -> str:
    """Hash of the expression basis: coefficients of one basis mean nothing in another."""
    from facewitness.generator.reconstruct import model

    return sha256_file(Path(model.__file__).with_name(model.BASIS_FILE))


def save_arrays(path: Path, **arrays: NDArray) -> None:
    """Write arrays as a compressed npz, whole or not at all."""
    with whole_file(path) as part, part.open("wb") as f:
        np.savez_compressed(f, **arrays)  # type: ignore[arg-type]


def save_card(path: Path, card: dict[str, Any], files: list[str]) -> None:
    """Write the card with the hashes of ``files``: the last thing written, it makes the folder an actor."""
    card = {
        "schema": SCHEMA,
        **card,
        "basis_sha256": basis_sha256(),
        "sha256": {name: sha256_file(path / name) for name in files},
    }
    write_text(path / CARD, to_json(card, indent=2))
