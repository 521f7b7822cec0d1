"""Device models as data: one YAML profile per model, with pure decoding and encoding.

`load_profile` reads and checks a profile, `bind` makes the `DeviceModel` of one device from it,
`decode` turns words into values and `encode` values into words (for simulators).
"""
