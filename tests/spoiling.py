"What a disk or a crash may do to a file."


def flipped(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def folder_in_place(file):
    file.unlink()
    file.mkdir()
    (file / "something").write_text("")
