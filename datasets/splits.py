"""Splits that leak nothing: every person, every pair in both directions, and near-duplicate footage in one part."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from facewitness.datasets.labels import SPLITS, Clip

SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}


class Groups:
    """Sets of names that must stay together (union and find)."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def find(self, name: str) -> str:
        """The name that stands for the set of ``name``."""
        self._parent.setdefault(name, name)
        while self._parent[name] != name:
            self._parent[name] = self._parent[self._parent[name]]
            name = self._parent[name]
        return name

    def join(self, names: Iterable[str]) -> None:
        """Put all ``names`` into one set, named after its alphabetically first member."""
        roots = sorted({self.find(n) for n in names})
        for root in roots[1:]:
            self._parent[root] = roots[0]


def groups_of(clips: Sequence[Clip], *, duplicates: Iterable[Iterable[str]] = ()) -> dict[str, str]:
    """For each clip id the group it belongs to: clips that share a person, an original file, or near-duplicate footage.

    ``duplicates`` are sets of clip ids whose footage is nearly the same.
    """
    groups = Groups()
    for clip in clips:
        named = [f"clip:{clip.clip_id}"]
        named += [f"person:{p}" for p in {clip.target_id, clip.driver_id} if p]
        if clip.source_sha256:
            named.append(f"source:{clip.source_sha256}")
        groups.join(named)
    for same in duplicates:
        groups.join(f"clip:{i}" for i in same)
    return {clip.clip_id: groups.find(f"clip:{clip.clip_id}") for clip in clips}


def assign(
    clips: Sequence[Clip],
    *,
    shares: Mapping[str, float] = SHARES,
    seed: int = 0,
    duplicates: Iterable[Iterable[str]] = (),
) -> list[Clip]:
    """The clips with their ``split`` set: whole groups, so that each part's number of clips comes near its share.

    Groups are taken from large to small (equal ones in an order drawn from ``seed``) and go where most is missing.
    """
    group = groups_of(clips, duplicates=duplicates)
    members: dict[str, list[str]] = defaultdict(list)
    for clip in clips:
        members[group[clip.clip_id]].append(clip.clip_id)
    rng = np.random.default_rng(seed)
    names = sorted(members)
    drawn = dict(zip(names, rng.permutation(len(names)), strict=True))
    names.sort(key=lambda n: (-len(members[n]), drawn[n]))
    parts = [s for s in SPLITS if shares.get(s, 0) > 0]
    total = sum(shares[s] for s in parts)
    wanted = {s: shares[s] / total * len(clips) for s in parts}
    have = dict.fromkeys(parts, 0)
    split: dict[str, str] = {}
    for place, name in enumerate(names):
        empty = [s for s in parts if not have[s]]
        left = len(names) - place
        open_parts = empty if len(empty) >= left else parts
        best = max(open_parts, key=lambda s: ((wanted[s] - have[s]) / wanted[s], -parts.index(s)))
        have[best] += len(members[name])
        split.update(dict.fromkeys(members[name], best))
    return [replace(clip, split=split[clip.clip_id]) for clip in clips]


def leaks(clips: Sequence[Clip]) -> list[str]:
    """One sentence for each person or original file that stands in more than one split."""
    seen: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        if not clip.split:
            continue
        for person in {clip.target_id, clip.driver_id} - {""}:
            seen[f"person {person}"].add(clip.split)
        if clip.source_sha256:
            seen[f"footage {clip.source or clip.source_sha256[:12]}"].add(clip.split)
    return [f"{what} is in {' and '.join(sorted(parts))}." for what, parts in sorted(seen.items()) if len(parts) > 1]


def near_duplicates(prints: Mapping[str, Any]) -> list[set[str]]:
    """Sets of names whose fingerprints (``provenance.fingerprint.Fingerprint``) show the same footage."""
    from facewitness.provenance.fingerprint_search import FingerprintIndex

    index, groups, names = FingerprintIndex(), Groups(), sorted(prints)
    for number, name in enumerate(names):
        index.add(number, np.rint(prints[name].starts_s * 1000).astype(np.int64), prints[name].vectors)
    for number, name in enumerate(names):
        if len(prints[name]):
            same = index.find(prints[name], limit=20)
            groups.join([name, *(names[m.seq] for m in same if m.seq != number)])
    sets: dict[str, set[str]] = defaultdict(set)
    for name in names:
        sets[groups.find(name)].add(name)
    return [s for s in sets.values() if len(s) > 1]
