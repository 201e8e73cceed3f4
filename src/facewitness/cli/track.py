"""``facewitness track``: follow the faces of a video, save their landmarks, plot what they do."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command("track")
def track(
    video: Annotated[Path, typer.Argument(help="The video to look at.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the tracks (.npz).")],
    tracker: Annotated[str, typer.Option(help="mesh, fan or landmarker.")] = "mesh",
    max_faces: Annotated[int, typer.Option(help="How many faces to follow at once.", min=1, max=32)] = 4,
    plot: Annotated[
        Path | None, typer.Option(help="Also draw the main face's performance as a picture (.png).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Follow the faces of a video and save their landmarks; say how many there are and how well they were seen."""
    from facewitness.errors import UnreadableInputError
    from facewitness.faces import save_tracks, track_video
    from facewitness.files import to_json
    from facewitness.generator.reconstruct import reconstruct

    tracks = track_video(video, tracker=tracker, max_faces=max_faces, progress=not as_json)
    if not tracks:
        raise UnreadableInputError(f"{video} shows no face; choose footage in which a face is at least 24 pixels wide.")
    save_tracks(tracks, out)
    if plot is not None:
        from facewitness.generator.reconstruct.plot import plot_performance

        plot_performance(reconstruct(tracks[0]), plot, title=f"{video.name}, face 0")
    main = tracks[0]
    summary = {
        "schema": "facewitness.track/1",
        "path": str(video),
        "out": str(out),
        "tracker": tracker,
        "frames": len(main.pts),
        "width": main.width,
        "height": main.height,
        "plot": plot,
        "faces": [
            {
                "face": t.face_id,
                "frames_seen": int(t.present.sum()),
                "share_seen": float(t.present.mean()),
                "first_s": float(t.times_s[t.present][0]),
                "last_s": float(t.times_s[t.present][-1]),
                "face_px": _median_height(t),
                "iris_px": t.iris_px,
            }
            for t in tracks
        ],
    }
    if as_json:
        typer.echo(to_json(summary))
        return
    for face in summary["faces"]:  # type: ignore[attr-defined]
        typer.echo(
            f"face {face['face']}: seen in {face['frames_seen']} of {summary['frames']} frames "
            f"({face['first_s']:.1f} to {face['last_s']:.1f} s), {face['face_px']:.0f} px high, "
            f"iris {face['iris_px']:.1f} px"
        )
    typer.echo(f"tracks written to {out}" + (f", plot to {plot}" if plot else ""))


def _median_height(track: object) -> float:
    import numpy as np

    boxes = track.boxes  # type: ignore[attr-defined]
    return float(np.nanmedian(boxes[:, 3] - boxes[:, 1]))
