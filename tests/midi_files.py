"""MIDI files that tests write themselves."""

from pathlib import Path

import mido

SCALE = tuple((480 * i, 480 * i + 400, 60 + i) for i in range(8))


def write_midi(
    path: Path,
    notes=SCALE,
    signatures=((4, 4),),
    tempos=(500_000,),
    ticks_per_beat: int = 480,
) -> Path:
    """Write notes (start, end, pitch) in ticks to one track; returns `path`.

    Signatures and tempos (microseconds a beat) follow one another, one each tick from 0.
    """
    events = [
        (tick, mido.MetaMessage("time_signature", numerator=numerator, denominator=denominator))
        for tick, (numerator, denominator) in enumerate(signatures)
    ]
    events += [
        (tick, mido.MetaMessage("set_tempo", tempo=tempo)) for tick, tempo in enumerate(tempos)
    ]
    for start, end, pitch in notes:
        events.append((start, mido.Message("note_on", note=pitch, velocity=64)))
        events.append((end, mido.Message("note_off", note=pitch)))
    events.sort(key=lambda event: event[0])
    track, now = mido.MidiTrack(), 0
    for tick, message in events:
        track.append(message.copy(time=tick - now))
        now = tick
    path.parent.mkdir(parents=True, exist_ok=True)
    file = mido.MidiFile(ticks_per_beat=ticks_per_beat)
    file.tracks.append(track)
    file.save(path)
    return path
