"""A desktop for the player: an X server without a screen, and real devices on it.

Keys and mouse are the X server's own (XTEST), so an event takes the way that a user's takes: server, SDL, pygame, player. The gamepad
is SDL's virtual one: a kernel's (uinput) needs rights that a test has not. Where there is no Xvfb, the window is SDL's dummy driver's
and keys and mouse are posted to pygame; the pad is the same.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pygame

SIZE = (1280, 900)
X11, XTEST = "libX11.so.6", "libXtst.so.6"
# Without a window manager a window may be shown later than SDL gives it the keyboard; Xlib ends the process at such an error.
_PASS = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(lambda display, error: 0)
KEYSYMS = {
    pygame.K_RETURN: 0xFF0D, pygame.K_ESCAPE: 0xFF1B, pygame.K_TAB: 0xFF09, pygame.K_BACKSPACE: 0xFF08, pygame.K_DELETE: 0xFFFF,
    pygame.K_LEFT: 0xFF51, pygame.K_UP: 0xFF52, pygame.K_RIGHT: 0xFF53, pygame.K_DOWN: 0xFF54,
    pygame.K_PAGEUP: 0xFF55, pygame.K_PAGEDOWN: 0xFF56, pygame.K_LCTRL: 0xFFE3, pygame.K_LSHIFT: 0xFFE1,
    **{pygame.K_F1 + number: 0xFFBE + number for number in range(12)},
}  # fmt: skip


def missing() -> str:
    """What a real window lacks here; nothing where all is there."""
    if shutil.which("Xvfb") is None:
        return "Xvfb is not installed"
    try:
        for library in (X11, XTEST):
            ctypes.CDLL(library)
    except OSError as error:
        return str(error)
    return ""


@contextmanager
def desktop() -> Iterator[str]:
    """SDL draws on an X server of our own, whose display is given; on the dummy driver where there is none."""
    if missing():
        yield ""
        return
    reader, writer = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writer), "-screen", "0", f"{SIZE[0]}x{SIZE[1]}x24", "-nolisten", "tcp", "-noreset"],
        pass_fds=[writer],
        stderr=subprocess.DEVNULL,
    )
    os.close(writer)
    with os.fdopen(reader) as pipe:
        display = f":{pipe.readline().strip()}"
    ctypes.CDLL(X11).XSetErrorHandler(_PASS)
    before = {name: os.environ.get(name) for name in ("DISPLAY", "SDL_VIDEODRIVER")}
    os.environ.update(DISPLAY=display, SDL_VIDEODRIVER="x11")
    try:
        yield display
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        server.terminate()
        server.wait()


class XDevices:
    """Keyboard and mouse of an X server; its window manager, too, as far as one is needed."""

    def __init__(self) -> None:
        self._x, self._test = ctypes.CDLL(X11), ctypes.CDLL(XTEST)
        self._x.XOpenDisplay.restype = ctypes.c_void_p
        self._x.XKeysymToKeycode.argtypes = [ctypes.c_void_p, ctypes.c_ulong]
        self._x.XKeysymToKeycode.restype = ctypes.c_ubyte
        self._display = ctypes.c_void_p(self._x.XOpenDisplay(os.environ["DISPLAY"].encode()))

    def key(self, key: int, down: bool) -> None:
        """A key goes down or comes up."""
        code = self._x.XKeysymToKeycode(self._display, KEYSYMS.get(key, key))
        assert code, f"the keyboard has no {pygame.key.name(key)}"
        self._test.XTestFakeKeyEvent(self._display, ctypes.c_uint(code), ctypes.c_int(down), ctypes.c_ulong(0))
        self._x.XSync(self._display, 0)

    def move(self, position: tuple[int, int]) -> None:
        """The mouse goes to a place in the window."""
        left, top = pygame.display.get_window_position()
        x, y = position[0] + left, position[1] + top
        self._test.XTestFakeMotionEvent(self._display, ctypes.c_int(-1), ctypes.c_int(x), ctypes.c_int(y), ctypes.c_ulong(0))
        self._x.XSync(self._display, 0)

    def button(self, down: bool, number: int = 1) -> None:
        """A mouse button goes down or comes up."""
        self._test.XTestFakeButtonEvent(self._display, ctypes.c_uint(number), ctypes.c_int(down), ctypes.c_ulong(0))
        self._x.XSync(self._display, 0)

    def take_focus(self) -> None:
        """The keyboard goes to nobody, as when another window comes to the front."""
        self._x.XSetInputFocus(self._display, ctypes.c_ulong(0), ctypes.c_int(0), ctypes.c_ulong(0))
        self._x.XSync(self._display, 0)

    def close(self) -> None:
        """Leave the server."""
        self._x.XCloseDisplay(self._display)


class VirtualPad:
    """A gamepad of SDL's: it is plugged in, and its buttons and sticks come as a real one's do."""

    def __init__(self) -> None:
        self._sdl = ctypes.CDLL(_sdl_library())
        self._sdl.SDL_JoystickOpen.restype = ctypes.c_void_p
        self._index = self._sdl.SDL_JoystickAttachVirtual(1, 6, 15, 0)  # a game controller: 6 axes, 15 buttons
        assert self._index >= 0, "SDL has no virtual gamepad here"
        self._pad = ctypes.c_void_p(self._sdl.SDL_JoystickOpen(self._index))
        for trigger in (4, 5):
            self.axis(trigger, -1.0)

    def button(self, number: int, down: bool) -> None:
        """A button goes down or comes up."""
        self._sdl.SDL_JoystickSetVirtualButton(self._pad, number, ctypes.c_uint8(down))

    def axis(self, number: int, value: float) -> None:
        """A stick or trigger moves, -1 to 1."""
        self._sdl.SDL_JoystickSetVirtualAxis(self._pad, number, ctypes.c_int16(round(value * 32767)))


def _sdl_library() -> str:
    """The file of the SDL that pygame has loaded."""
    maps = Path("/proc/self/maps")
    if maps.is_file():
        for line in maps.read_text().splitlines():
            if "libSDL2-2" in line:
                return line.split()[-1]
    folder = Path(pygame.__file__).parent
    found = [*folder.glob("SDL2.dll"), *folder.glob(".dylibs/libSDL2-2*"), *(folder.parent / "pygame_ce.libs").glob("libSDL2-2*")]
    return str(found[0])
