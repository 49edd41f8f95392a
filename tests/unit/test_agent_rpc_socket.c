/* The RPC door's Unix socket: its mode, what may be at its path before, who removes it, and that it is the same door. */
#include "unit/rpc_stand_in.h"

#include <sys/stat.h>
#include <sys/un.h>

#include "agent/rpc_socket.h"
#include "cli/dial.h"

static char dir[64];
static char path[100];
static struct ki_rpc_socket ours;
static int ours_fd;

static int set_up_unix(void **state)
{
    char error[200];
    snprintf(dir, sizeof dir, "/tmp/kith-socket-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/rpc", dir);
    if (*state)
        return 0;
    if (ki_rpc_socket_open(&ours, path, &ours_fd, error, sizeof error) != 0)
        fail_msg("%s", error);
    start(NULL, 0, ours_fd);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    char new_path[120];
    snprintf(new_path, sizeof new_path, "%s.new", path);
    assert_int_not_equal(access(new_path, F_OK), 0); /* never left */
    unlink(path);
    return rmdir(dir);
}

static int tear_down_unix(void **state)
{
    tear_down(state);
    ki_rpc_socket_remove(&ours);
    assert_int_not_equal(access(path, F_OK), 0);
    return remove_dir(state);
}

/* As the command line dials. */
static struct peer *dial_path(void)
{
    char error[200];
    char addr[120];
    struct peer *peer = calloc(1, sizeof *peer);
    assert_non_null(peer);
    snprintf(addr, sizeof addr, "unix:%s", path);
    peer->fd = ki_dial(addr, "7373", error, sizeof error);
    if (peer->fd < 0)
        fail_msg("%s", error);
    turn();
    return peer;
}

/* Both kinds at once, counted together. */
static void test_same_door(void **state)
{
    (void)state;
    struct stat there;
    assert_int_equal(stat(path, &there), 0);
    assert_int_equal(there.st_mode & 07777, 0600);
    struct peer *peers[2] = {dial(), dial_path()};
    for (size_t i = 0; i < 2; i++) {
        ask(peers[i], "handshake", 0, HANDSHAKE);
        expect_header(peers[i], 0, "");
        ask(peers[i], "members", 1, NULL);
        expect_header(peers[i], 1, "");
        assert_true(holds(take(peers[i]), "self"));
    }
    assert_int_equal(rpc->conn_count, 2);
    ASK(peers[1], "stream", 2, "s", "Type", "user");
    expect_header(peers[1], 2, "");
    tell_user("deploy", "v1");
    settle(peers[1]);
    expect_header(peers[1], 2, "");
    assert_true(holds(take(peers[1]), "deploy"));
    hang_up(peers[1]);
    peers[1] = dial_path();
    hang_up(peers[1]);
    hang_up(peers[0]);
}

static void test_limit(void **state)
{
    (void)state;
    struct peer *peers[KI_RPC_CLIENTS_MAX];
    for (size_t i = 0; i < KI_RPC_CLIENTS_MAX; i++) {
        peers[i] = i % 2 ? dial() : dial_path();
        ask(peers[i], "handshake", 0, HANDSHAKE);
    }
    struct peer *late = dial_path();
    settle(late);
    assert_true(late->closed);
    assert_int_equal(rpc->counts[KI_RPC_REFUSED], 1);
    for (size_t i = 0; i < KI_RPC_CLIENTS_MAX; i++)
        hang_up(peers[i]);
    hang_up(late);
}

/* ---- the path ---- */

static void test_living(void **state)
{
    (void)state;
    struct ki_rpc_socket other;
    char error[300];
    int fd;
    assert_int_equal(ki_rpc_socket_open(&other, path, &fd, error, sizeof error), -1);
    assert_non_null(strstr(error, "is the socket of a running agent: stop it, or choose another path"));
    turn();
    struct peer *peer = dial_path(); /* and it was left alone */
    ask(peer, "handshake", 0, HANDSHAKE);
    expect_header(peer, 0, "");
    hang_up(peer);
}

static void test_stale(void **state)
{
    (void)state;
    struct ki_rpc_socket first, second;
    char error[300];
    int fd;
    assert_int_equal(ki_rpc_socket_open(&first, path, &fd, error, sizeof error), 0);
    close(fd); /* killed: the path stays */
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(ki_rpc_socket_open(&second, path, &fd, error, sizeof error), 0);
    ki_rpc_socket_remove(&first); /* is no more the first one's */
    assert_int_equal(access(path, F_OK), 0);
    ki_rpc_socket_remove(&second);
    assert_int_not_equal(access(path, F_OK), 0);
    ki_rpc_socket_remove(&second);
    close(fd);
}

static void test_refused_paths(void **state)
{
    (void)state;
    struct ki_rpc_socket none;
    char error[300];
    char long_path[200];
    int fd;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(ki_rpc_socket_open(&none, path, &fd, error, sizeof error), -1);
    assert_non_null(strstr(error, "is there and is no socket"));
    assert_int_equal(access(path, F_OK), 0);
    memset(long_path, 'x', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    assert_int_equal(ki_rpc_socket_open(&none, long_path, &fd, error, sizeof error), -1);
    assert_string_equal(error, "a path of 1 to 103 bytes is wanted");
    assert_int_equal(ki_rpc_socket_open(&none, "", &fd, error, sizeof error), -1);
    assert_int_equal(ki_rpc_socket_open(&none, "/nonexistent/rpc", &fd, error, sizeof error), -1);
    assert_string_equal(error, "/nonexistent/rpc cannot be made: No such file or directory");
    assert_int_equal(ki_dial("unix:/nonexistent/rpc", "7373", error, sizeof error), -1);
    assert_string_equal(error, "dial unix /nonexistent/rpc: No such file or directory");
    snprintf(error, sizeof error, "unix:%s", long_path);
    char why[300];
    assert_int_equal(ki_dial(error, "7373", why, sizeof why), -1);
    assert_non_null(strstr(why, "File name too long"));
}

int main(void)
{
    static bool no_server = true;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_same_door, set_up_unix, tear_down_unix),
        cmocka_unit_test_setup_teardown(test_limit, set_up_unix, tear_down_unix),
        cmocka_unit_test_setup_teardown(test_living, set_up_unix, tear_down_unix),
        cmocka_unit_test_prestate_setup_teardown(test_stale, set_up_unix, remove_dir, &no_server),
        cmocka_unit_test_prestate_setup_teardown(test_refused_paths, set_up_unix, remove_dir, &no_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
