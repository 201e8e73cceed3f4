"""A glance at a video: thumbnails and contact sheets."""

from facewitness.media import contact_sheet, thumbnail

WIDTH, HEIGHT = 160, 96


def test_a_thumbnail_shows_the_asked_time_and_the_last_frame_after_the_end(encode, index_of):
    path = encode("a.mp4", frames=20)
    assert index_of(thumbnail(path, time_s=0.4, width=WIDTH)) == 10
    assert index_of(thumbnail(path, time_s=99, width=WIDTH)) == 19
    assert thumbnail(path, width=80).shape == (48, 80, 3)


def test_a_contact_sheet_spreads_over_the_whole_clip(encode, index_of):
    sheet = contact_sheet(encode("a.mp4", frames=24), columns=3, rows=2, width=WIDTH)
    assert sheet.shape == (2 * HEIGHT, 3 * WIDTH, 3)
    cells = [sheet[r * HEIGHT : (r + 1) * HEIGHT, c * WIDTH : (c + 1) * WIDTH] for r in range(2) for c in range(3)]
    assert [index_of(c) for c in cells] == [0, 4, 8, 12, 16, 20]
