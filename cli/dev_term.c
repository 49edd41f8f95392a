/* The terminal of `kith dev`: taken whole, and given back on every way out.
 *
 * Raw enough: no echo, no lines, no signals from keys (Ctrl-C arrives as a key, so it cannot hit the
 * agents either), and the alternate screen, so that what was there before comes back.  It is given back
 * by ki_dev_term_close(), by exit() (atexit), and by a handler for the signals of a crash; only a
 * SIGKILL leaves it raw, which nobody can help.
 *
 * Keys are read from /dev/tty opened anew, because libuv makes what it watches non-blocking, and the
 * descriptor 0 that our parent shares with us must stay as it is.
 *
 * The only state outside struct ki_dev is here, because atexit and signal handlers take no argument. */
#include "cli/dev.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios dev_term_saved;
static volatile sig_atomic_t dev_term_fd = -1; /* -1: not taken */

void ki_dev_term_write(const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t written = write(STDOUT_FILENO, bytes, len);
        if (written <= 0)
            return;
        bytes += written;
        len -= (size_t)written;
    }
}

/* Safe in a signal handler. */
static void dev_term_restore(void)
{
    static const char back[] = "\033[?25h\033[?1049l"; /* cursor on, normal screen */
    if (dev_term_fd < 0)
        return;
    ki_dev_term_write(back, sizeof back - 1);
    tcsetattr((int)dev_term_fd, TCSAFLUSH, &dev_term_saved);
    dev_term_fd = -1;
}

static void dev_term_crashed(int number)
{
    dev_term_restore();
    raise(number); /* SA_RESETHAND: the default action now */
}

static void dev_term_guard(void)
{
    static const int crashes[] = {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGQUIT};
    struct sigaction action = {.sa_handler = dev_term_crashed, .sa_flags = (int)SA_RESETHAND};
    for (size_t i = 0; i < KI_COUNT(crashes); i++)
        sigaction(crashes[i], &action, NULL);
    atexit(dev_term_restore);
}

void ki_dev_term_size(struct ki_dev *dev)
{
    struct winsize size;
    dev->rows = 24;
    dev->columns = 80;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0) {
        dev->rows = size.ws_row;
        dev->columns = size.ws_col;
    }
    dev->dirty = true;
}

/* ---- keys ---- */

/* Takes one byte of input; arrows are three of them. */
static void dev_term_byte(struct ki_dev *dev, int *escape, char byte)
{
    if (*escape == 1 && (byte == '[' || byte == 'O')) {
        *escape = 2;
    } else if (*escape == 2) {
        *escape = 0;
        if (byte == 'A' || byte == 'D')
            ki_dev_screen_key(dev, KI_DEV_KEY_UP);
        else if (byte == 'B' || byte == 'C')
            ki_dev_screen_key(dev, KI_DEV_KEY_DOWN);
    } else {
        *escape = byte == '\033' ? 1 : 0;
        if (byte != '\033')
            ki_dev_screen_key(dev, (unsigned char)byte);
    }
}

static void dev_term_readable(uv_poll_t *poll, int status, int events)
{
    struct ki_dev *dev = poll->data;
    char bytes[64];
    int escape = 0;
    (void)events;
    ssize_t got = status == 0 ? read(dev->tty, bytes, sizeof bytes) : 0;
    if (got <= 0) { /* the terminal is gone */
        ki_dev_quit(dev);
        return;
    }
    for (ssize_t i = 0; i < got; i++)
        dev_term_byte(dev, &escape, bytes[i]);
}

/* ---- taking and giving back ---- */

bool ki_dev_term_open(struct ki_dev *dev)
{
    static const char enter[] = "\033[?1049h\033[?25l\033[2J";
    const char *kind = getenv("TERM");
    if (!isatty(STDOUT_FILENO) || !kind || strcmp(kind, "dumb") == 0)
        return false;
    dev->tty = open("/dev/tty", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (dev->tty < 0)
        return false;
    if (tcgetattr(dev->tty, &dev_term_saved) != 0 ||
        uv_poll_init(&dev->loop, &dev->keys, dev->tty) != 0) {
        close(dev->tty);
        dev->tty = -1;
        return false;
    }
    struct termios raw = dev_term_saved;
    raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO | ISIG | IEXTEN);
    raw.c_iflag &= (tcflag_t) ~(IXON | ICRNL);
    dev_term_guard();
    dev_term_fd = dev->tty;
    tcsetattr(dev->tty, TCSAFLUSH, &raw);
    ki_dev_term_write(enter, sizeof enter - 1);
    dev->keys.data = dev;
    uv_poll_start(&dev->keys, UV_READABLE, dev_term_readable);
    ki_dev_term_size(dev);
    return true;
}

void ki_dev_term_close(struct ki_dev *dev)
{
    dev_term_restore();
    if (dev->tty >= 0 && !uv_is_closing((uv_handle_t *)&dev->keys))
        uv_close((uv_handle_t *)&dev->keys, NULL);
    if (dev->tty >= 0)
        close(dev->tty);
    dev->tty = -1;
}
