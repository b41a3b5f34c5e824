"""MIDI messages at random."""

import mido


def setting(random, channel):
    """Something that is set on a channel; a bank is chosen before or after its program."""
    value = int(random.integers(128))
    return [
        lambda: mido.Message("program_change", program=value, channel=channel),
        lambda: mido.Message("pitchwheel", pitch=value, channel=channel),
        lambda: mido.Message("aftertouch", value=value, channel=channel),
        lambda: mido.Message("polytouch", note=60, value=value, channel=channel),
        *(
            lambda control=control: mido.Message(
                "control_change", control=control, value=value, channel=channel
            )
            for control in (0, 32, 7, 7)
        ),
    ][random.integers(8)]()


def pedal(random, channel):
    control, value = (int(random.choice(choices)) for choices in ((64, 64, 66), (0, 127)))
    return mido.Message("control_change", control=control, value=value, channel=channel)


def wild_messages(random, count):
    """Messages as they may come: notes that never end, ends of nothing, notes without duration,
    overlaps of one pitch, and settings and pedals between them. The track may have a port."""

    def message(channel, pitch, velocity):
        kinds = ["note_on", "note_off", "set", "pedal", "other"]
        match random.choice(kinds, p=[0.4, 0.35, 0.15, 0.07, 0.03]):
            case "set":
                return setting(random, channel)
            case "pedal":
                return pedal(random, channel)
            case "other":
                return [
                    mido.Message("sysex", data=(pitch, velocity)),
                    mido.MetaMessage("text", text="text"),
                    mido.Message("song_select", song=1),
                ][random.integers(3)]
            case kind:
                return mido.Message(kind, channel=channel, note=pitch, velocity=velocity)

    choices = [0, 1, 9], [60, 61], [0, 1, 64, 127]
    ports = [mido.MetaMessage("midi_port", port=port) for port in (0, 1)]
    return ports[: random.integers(3)][-1:] + [
        message(*(int(random.choice(some)) for some in choices)).copy(
            time=int(random.integers(0, 3))
        )
        for _ in range(count)
    ]


def orderly_messages(random, count, tracks):
    """Tracks in which settings precede the notes that begin at their tick, and no note ends both
    before and after a pedal at its tick."""
    events = []
    for _ in range(count):
        channel, where = int(random.choice([0, 1, 9])), int(random.integers(tracks))
        start, pitch = (int(number) for number in random.integers((0, 60), (30, 63)))
        end = start + int(random.integers(1, 9))
        events.append((end, 2, where, mido.Message("note_off", note=pitch, channel=channel)))
        on = mido.Message("note_on", note=pitch, velocity=int(random.integers(1, 128)))
        events.append((start, 4, where, on.copy(channel=channel)))
        tick = int(random.integers(30))
        rank = [1, 3][tick % 2]
        where = 0 if tracks == 1 or rank == 1 else tracks  # a track behind those with notes
        events.append((tick, rank, where, pedal(random, channel)))
        tick = int(random.integers(30))
        for message in (setting(random, channel), setting(random, channel)):
            # banks first, as is usual: programs that look at a track alone are told of no others
            events.append((tick, 3 + (message.type == "program_change") / 2, 0, message))
    written = [[] for _ in range(tracks + 1)]
    clock = [0] * (tracks + 1)
    for tick, _, where, message in sorted(events, key=lambda event: event[:2]):
        written[where].append(message.copy(time=tick - clock[where]))
        clock[where] = tick
    return written
