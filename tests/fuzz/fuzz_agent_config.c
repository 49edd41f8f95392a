/* What an operator writes, any bytes: addresses, durations, versions, keys, tags, and a whole JSON file.  The first
 * byte chooses; what is accepted is written again and must read the same. */
#include "agent/config.h"
#include "agent/keys.h"
#include "net/net.h"
#include "scenario/lone.h"

#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char config_path[64];

static void config_gone(void)
{
    unlink(config_path);
}

static void config_addr(const char *text, size_t len)
{
    struct kith_addr addr, back;
    char host[64], out[KI_ADDR_TEXT];
    int port;
    struct kith_str target = {text, len};
    if (ki_addr_split(target, host, sizeof host, &port))
        LONE_CHECK(strlen(host) > 0 && strlen(host) < sizeof host && port >= -1 && port <= 65535);
    if (!ki_addr_parse(target, 7946, &addr))
        return;
    LONE_CHECK(ki_addr_split(target, host, sizeof host, &port));
    ki_addr_format(&addr, out);
    LONE_CHECK(ki_addr_parse(lone_str(out), 1, &back) && back.port == addr.port && ki_addr_same_ip(&addr, &back));
    struct sockaddr_storage storage;
    socklen_t size;
    LONE_CHECK(ki_addr_to_sockaddr(&addr, ki_addr_family(&addr), &storage, &size));
    ki_addr_from_sockaddr((const struct sockaddr *)&storage, &back);
    LONE_CHECK(back.port == addr.port && ki_addr_same_ip(&addr, &back));
}

static void config_words(const char *text)
{
    uint32_t ms, back;
    uint8_t versions[3];
    struct kith_key key;
    char out[128];
    if (ki_duration_parse(text, &ms)) {
        snprintf(out, sizeof out, "%ums", (unsigned)ms);
        LONE_CHECK(ki_duration_parse(out, &back) && back == ms);
    }
    if (ki_config_versions(text, versions))
        LONE_CHECK(versions[0] <= versions[2] && versions[2] <= versions[1]);
    if (ki_key_decode(text, &key, out, sizeof out) == 0)
        LONE_CHECK(key.len == 16 || key.len == 24 || key.len == 32);
    else
        LONE_CHECK(out[0] != '\0');
}

/* Every option and every limit with this text for its value. */
static void config_options(const char *text)
{
    struct ki_config config;
    char error[KI_ERROR_TEXT];
    memset(&config, 0, sizeof config);
    for (size_t i = 0; i < ki_option_count; i++) {
        error[0] = '\0';
        int result = ki_option_set(&config, &ki_options[i], "-it", text, error);
        LONE_CHECK(result == 0 || (result == -1 && strncmp(error, "-it", 3) == 0));
    }
    for (size_t i = 0; i < ki_limit_count; i++)
        (void)ki_limit_set(&config, &ki_limits[i], "it", text, error);
    struct kith_config core;
    lone_config(&core);
    ki_config_apply_limits(&config, &core);
    ki_config_free(&config);
}

static void config_file(const uint8_t *data, size_t size)
{
    struct ki_config config;
    char error[KI_ERROR_TEXT] = "";
    if (config_path[0] == '\0') {
        snprintf(config_path, sizeof config_path, "/tmp/fuzz-config-%ld", (long)getpid());
        LONE_CHECK(atexit(config_gone) == 0);
    }
    FILE *file = fopen(config_path, "w");
    LONE_CHECK(file != NULL && fwrite(data, 1, size, file) == size);
    LONE_CHECK(fclose(file) == 0);
    memset(&config, 0, sizeof config);
    if (ki_config_read_file(&config, config_path, error) != 0)
        LONE_CHECK(strncmp(error, config_path, strlen(config_path)) == 0); /* says which file */
    else
        LONE_CHECK(!memchr(data, '\0', size));
    ki_config_free(&config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 4096)
        return -1;
    char *text = malloc(size); /* of its exact length, so that a read beyond it shows */
    LONE_CHECK(text != NULL);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    config_addr((const char *)data + 1, size - 1);
    config_words(text);
    if (data[0] & 1)
        config_file(data + 1, size - 1);
    else
        config_options(text);
    free(text);
    return 0;
}
