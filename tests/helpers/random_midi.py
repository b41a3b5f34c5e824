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
