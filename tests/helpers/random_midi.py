"""Random MIDI messages."""

import mido


def setting(random, channel):
    """A setting of a channel; a bank is chosen before or after its program."""
    value = int(random.integers(128))
    match random.integers(8):
        case 0:
            return mido.Message("program_change", program=value, channel=channel)
        case 1:
            return mido.Message("pitchwheel", pitch=value, channel=channel)
        case 2:
            return mido.Message("aftertouch", value=value, channel=channel)
        case 3:
            return mido.Message("polytouch", note=60, value=value, channel=channel)
    control = int(random.choice([0, 32, 7, 7]))
    return mido.Message("control_change", control=control, value=value, channel=channel)


def random_message(random):
    channel, pitch, velocity = (
        int(random.choice(some)) for some in ([0, 1, 9], [60, 61], [0, 1, 64, 127])
    )
    kinds = ["note_on", "note_off", "setting", "pedal", "sysex", "text", "song_select"]
    match random.choice(kinds, p=[0.4, 0.35, 0.15, 0.07, 0.01, 0.01, 0.01]):
        case "setting":
            return setting(random, channel)
        case "pedal":
            control, value = (int(random.choice(some)) for some in ([64, 64, 66], [0, 127]))
            return mido.Message("control_change", control=control, value=value, channel=channel)
        case "sysex":
            return mido.Message("sysex", data=(pitch, velocity))
        case "text":
            return mido.MetaMessage("text", text="text")
        case "song_select":
            return mido.Message("song_select", song=1)
        case kind:
            return mido.Message(kind, channel=channel, note=pitch, velocity=velocity)


def random_messages(random, count):
    """Messages with notes that never end, ends without notes, notes without duration, overlaps of
    one pitch, and settings and pedals between them. The track may have a port."""
    ports = [mido.MetaMessage("midi_port", port=port) for port in (0, 1)]
    messages = (random_message(random) for _ in range(count))
    return ports[: random.integers(3)][-1:] + [
        message.copy(time=int(random.integers(0, 3))) for message in messages
    ]
