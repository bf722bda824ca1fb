"""Has ffmpeg and Pillow write files, and prints the media type of each.

usage: media.py DIRECTORY

Prints a JSON object of file names and media types; null means that the file must be refused.
"""

import json
import pathlib
import subprocess
import sys

import imageio_ffmpeg
from PIL import Image

directory = pathlib.Path(sys.argv[1])
expected = {}


def film(name, *arguments, media_type="video/mp4", sound=True):
    """Half a second of video, and a tone."""
    inputs = ["-f", "lavfi", "-i", "testsrc=size=64x64:rate=10:duration=0.5"]
    if sound:
        inputs += ["-f", "lavfi", "-i", "sine=duration=0.5", "-shortest"]
    program = imageio_ffmpeg.get_ffmpeg_exe()
    command = [program, "-v", "error", "-y", *inputs, "-pix_fmt", "yuv420p", *arguments, name]
    subprocess.run(command, check=True, cwd=directory, stdin=subprocess.DEVNULL)
    expected[name] = media_type


def brand(name, major, media_type="video/mp4"):
    film(name, "-brand", major, "-f", "mp4", media_type=media_type)


film("plain.mp4")
film("index-in-front.mp4", "-movflags", "+faststart")
film("without-sound.mp4", sound=False)
film("fragments.mp4", "-movflags", "frag_keyframe+empty_moov")
film("fragments-default-base.mp4", "-movflags", "frag_keyframe+empty_moov+default_base_moof")
film("fragments-with-index.mp4", "-movflags", "dash+global_sidx+frag_keyframe+empty_moov")
film("fragments-delayed.mp4", "-movflags", "frag_keyframe+delay_moov+cmaf")
film("smooth.ismv", "-f", "ismv")
film("reserved-index.mp4", "-moov_size", "100000")
film("apple.m4v")
film("handheld.mp4", "-f", "psp", "-ar", "48000", "-ac", "2")
film("ipod.mp4", "-f", "ipod")
film("hevc.mp4", "-c:v", "libx265", "-x265-params", "log-level=error", "-tag:v", "hvc1")
film("mpeg4-part2.mp4", "-c:v", "mpeg4")
film("flash.f4v", "-f", "f4v", "-c:v", "libx264", "-c:a", "aac")
for major in ["isom", "iso2", "iso3", "iso4", "iso5", "iso6", "mp41", "mp42", "avc1", "M4V ", "dash", "MSNV"]:
    brand(f"brand-{major.strip()}.mp4", major)
# An unknown major brand; ffmpeg adds known compatible ones.
brand("brand-NIKO.mp4", "NIKO")
film("stream.mpd", "-f", "dash", "-seg_duration", "0.2", media_type=None)
# Stream 0 is the video. Segments with audio begin in the same way.
for segment in sorted(directory.glob("*-stream0*.m4s")):
    expected[segment.name] = "video/mp4"
film("quicktime.mov", media_type=None)
film("sound.m4a", "-vn", "-f", "ipod", "-brand", "M4A ", media_type=None)
film("phone.3gp", "-f", "3gp", "-s", "176x144", "-c:v", "mpeg4", "-c:a", "aac", media_type="video/mp4")
film("matroska.mkv", media_type=None)
film("web.webm", "-c:v", "libvpx", "-c:a", "libvorbis", media_type=None)
film("transport.ts", media_type=None)
film("old.avi", media_type=None)
film("animation.gif", "-an", media_type="image/gif", sound=False)

picture = Image.effect_mandelbrot((64, 64), (-2, -1.5, 1, 1.5), 50)
frames = [picture.rotate(angle) for angle in (0, 90, 180)]


def image(name, media_type, source=picture, mode=None, **options):
    (source.convert(mode) if mode else source).save(directory / name, **options)
    expected[name] = media_type


for mode in ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"]:
    image(f"{mode.replace(';', '-')}.png", "image/png", mode=mode)
image("animated.png", "image/png", save_all=True, append_images=frames)
image("optimised.png", "image/png", optimize=True)
for mode in ["L", "RGB", "CMYK", "YCbCr"]:
    image(f"{mode}.jpg", "image/jpeg", mode=mode)
image("progressive.jpg", "image/jpeg", progressive=True)
image("exif.jpg", "image/jpeg", exif=Image.Exif().tobytes())
image("comment.jpg", "image/jpeg", comment=b"a comment")
image("several.mpo", "image/jpeg", format="MPO", save_all=True, append_images=frames)
for mode in ["1", "L", "P", "RGB"]:
    image(f"{mode}.gif", "image/gif", mode=mode)
image("interlaced.gif", "image/gif", interlace=1)
image("animated.gif", "image/gif", save_all=True, append_images=frames, duration=100, loop=0)
image("lossy.webp", "image/webp", mode="RGB")
image("lossless.webp", "image/webp", mode="RGB", lossless=True)
image("transparent.webp", "image/webp", mode="RGBA")
image("exif.webp", "image/webp", mode="RGB", exif=Image.Exif().tobytes())
image("animated.webp", "image/webp", save_all=True, append_images=frames, duration=100)
image("document.pdf", "application/pdf", mode="RGB")
image("bitmap.bmp", None, mode="RGB")
image("tagged.tiff", None, mode="RGB")
image("icon.ico", None)
image("apple.icns", None, source=picture.resize((128, 128)), mode="RGBA")
image("jpeg2000.jp2", None, mode="RGB")
image("codestream.j2k", None, mode="RGB")
image("still.avif", None, mode="RGB")
image("animated.avif", None, mode="RGB", save_all=True, append_images=[frame.convert("RGB") for frame in frames])

print(json.dumps(expected))
