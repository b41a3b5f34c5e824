"""CP notes of the notes of a MIDI file, note by note."""


def reference_cp_notes(notes, ticks_per_beat):
    """`notes`: (start, end, pitch, track) in file order."""
    tracks = {}
    for start, end, pitch, track in notes:
        tracks.setdefault(track, []).append((start, end, pitch))
    kept = []
    for track in sorted(tracks):
        for start, end, pitch in sorted(tracks[track], key=lambda note: (note[0], note[2])):
            if (end - start) / ticks_per_beat >= 1 / 16 - 0.0001:
                start, end = int(start * 480 / ticks_per_beat), int(end * 480 / ticks_per_beat)
                kept.append([start, end, min(max(pitch, 22), 107)])
    kept.sort(key=lambda note: note[0])
    if not kept:
        return []

    grid = list(range(0, kept[-1][0], 120)) or [0]
    for note in kept:
        nearest = min(grid, key=lambda point: (abs(point - note[0]), point))
        note[0], note[1] = nearest, note[1] + nearest - note[0]

    words = []
    for bar in range(0, kept[-1][1] + 1920, 1920):
        in_bar = [note for note in kept if bar <= note[0] < bar + 1920]
        for place, (start, end, pitch) in enumerate(in_bar):
            position = min(range(16), key=lambda slot: (abs(bar + 120 * slot - start), slot))
            duration = min(range(64), key=lambda bin: (abs(60 * (bin + 1) - (end - start)), bin))
            words.append([int(place > 0), position, pitch - 22, duration])
    return words
