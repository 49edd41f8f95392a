/*
 * The memory sanitizer's view of nettle and mpack, which are not compiled with it.
 *
 * It takes whatever they write for never written. So in its build the linker sends each of the library's calls to
 * them through the wrapper below (`--wrap=NAME`, one for every `__wrap_NAME(` in this file): the wrapper checks that
 * the inputs are initialised, calls the real function, and declares the outputs written. The sources know nothing of it.
 *
 * A function of nettle or mpack that the library starts to call and that has no wrapper here shows itself as a false
 * report in the sanitizer's tests, never as a missed one.
 */
#include <sanitizer/msan_interface.h>
#include <stddef.h>
#include <stdint.h>

#include <mpack.h>
#include <nettle/aes.h>
#include <nettle/chacha.h>
#include <nettle/gcm.h>
#include <nettle/memops.h>

/* The prototypes are the headers' own, so that the compiler compares them with what is written here. */
#define WRAP(name)                                                                                                   \
    extern __typeof__(name) __real_##name, __wrap_##name

WRAP(nettle_aes128_set_encrypt_key);
WRAP(nettle_aes192_set_encrypt_key);
WRAP(nettle_aes256_set_encrypt_key);
WRAP(nettle_gcm_set_key);
WRAP(nettle_gcm_set_iv);
WRAP(nettle_gcm_update);
WRAP(nettle_gcm_encrypt);
WRAP(nettle_gcm_decrypt);
WRAP(nettle_gcm_digest);
WRAP(nettle_chacha_set_key);
WRAP(nettle_chacha_set_nonce);
WRAP(nettle_chacha_crypt);
WRAP(nettle_memeql_sec);
WRAP(mpack_tokbuf_init);
WRAP(mpack_read);

void __wrap_nettle_aes128_set_encrypt_key(struct aes128_ctx *ctx, const uint8_t *key)
{
    __msan_check_mem_is_initialized(key, AES128_KEY_SIZE);
    __real_nettle_aes128_set_encrypt_key(ctx, key);
    __msan_unpoison(ctx, sizeof *ctx);
}

void __wrap_nettle_aes192_set_encrypt_key(struct aes192_ctx *ctx, const uint8_t *key)
{
    __msan_check_mem_is_initialized(key, AES192_KEY_SIZE);
    __real_nettle_aes192_set_encrypt_key(ctx, key);
    __msan_unpoison(ctx, sizeof *ctx);
}

void __wrap_nettle_aes256_set_encrypt_key(struct aes256_ctx *ctx, const uint8_t *key)
{
    __msan_check_mem_is_initialized(key, AES256_KEY_SIZE);
    __real_nettle_aes256_set_encrypt_key(ctx, key);
    __msan_unpoison(ctx, sizeof *ctx);
}

void __wrap_nettle_gcm_set_key(struct gcm_key *key, const void *cipher, nettle_cipher_func *f)
{
    __real_nettle_gcm_set_key(key, cipher, f);
    __msan_unpoison(key, sizeof *key);
}

void __wrap_nettle_gcm_set_iv(struct gcm_ctx *ctx, const struct gcm_key *key, size_t length, const uint8_t *iv)
{
    __msan_check_mem_is_initialized(iv, length);
    __real_nettle_gcm_set_iv(ctx, key, length, iv);
    __msan_unpoison(ctx, sizeof *ctx);
}

void __wrap_nettle_gcm_update(struct gcm_ctx *ctx, const struct gcm_key *key, size_t length, const uint8_t *data)
{
    __msan_check_mem_is_initialized(data, length);
    __real_nettle_gcm_update(ctx, key, length, data);
    __msan_unpoison(ctx, sizeof *ctx);
}

void __wrap_nettle_gcm_encrypt(struct gcm_ctx *ctx, const struct gcm_key *key, const void *cipher,
                               nettle_cipher_func *f, size_t length, uint8_t *dst, const uint8_t *src)
{
    __msan_check_mem_is_initialized(src, length);
    __real_nettle_gcm_encrypt(ctx, key, cipher, f, length, dst, src);
    __msan_unpoison(ctx, sizeof *ctx);
    __msan_unpoison(dst, length);
}

void __wrap_nettle_gcm_decrypt(struct gcm_ctx *ctx, const struct gcm_key *key, const void *cipher,
                               nettle_cipher_func *f, size_t length, uint8_t *dst, const uint8_t *src)
{
    __msan_check_mem_is_initialized(src, length);
    __real_nettle_gcm_decrypt(ctx, key, cipher, f, length, dst, src);
    __msan_unpoison(ctx, sizeof *ctx);
    __msan_unpoison(dst, length);
}

void __wrap_nettle_gcm_digest(struct gcm_ctx *ctx, const struct gcm_key *key, const void *cipher,
                              nettle_cipher_func *f, size_t length, uint8_t *digest)
{
    __real_nettle_gcm_digest(ctx, key, cipher, f, length, digest);
    __msan_unpoison(digest, length);
}

void __wrap_nettle_chacha_set_key(struct chacha_ctx *ctx, const uint8_t *key)
{
    __msan_check_mem_is_initialized(key, CHACHA_KEY_SIZE);
    __real_nettle_chacha_set_key(ctx, key);
    __msan_unpoison(ctx, sizeof *ctx);
}

void __wrap_nettle_chacha_set_nonce(struct chacha_ctx *ctx, const uint8_t *nonce)
{
    __msan_check_mem_is_initialized(nonce, CHACHA_NONCE_SIZE);
    __real_nettle_chacha_set_nonce(ctx, nonce);
    __msan_unpoison(ctx, sizeof *ctx);
}

void __wrap_nettle_chacha_crypt(struct chacha_ctx *ctx, size_t length, uint8_t *dst, const uint8_t *src)
{
    __msan_check_mem_is_initialized(src, length);
    __real_nettle_chacha_crypt(ctx, length, dst, src);
    __msan_unpoison(ctx, sizeof *ctx);
    __msan_unpoison(dst, length);
}

int __wrap_nettle_memeql_sec(const void *a, const void *b, size_t n)
{
    __msan_check_mem_is_initialized(a, n);
    __msan_check_mem_is_initialized(b, n);
    int result = __real_nettle_memeql_sec(a, b, n);
    __msan_unpoison(&result, sizeof result);
    return result;
}

void __wrap_mpack_tokbuf_init(mpack_tokbuf_t *tokbuf)
{
    __real_mpack_tokbuf_init(tokbuf);
    __msan_unpoison(tokbuf, sizeof *tokbuf);
}

int __wrap_mpack_read(mpack_tokbuf_t *tokbuf, const char **buf, size_t *buflen, mpack_token_t *tok)
{
    __msan_check_mem_is_initialized(*buf, *buflen);
    int result = __real_mpack_read(tokbuf, buf, buflen, tok);
    __msan_unpoison(&result, sizeof result);
    __msan_unpoison(tokbuf, sizeof *tokbuf);
    __msan_unpoison(buf, sizeof *buf);
    __msan_unpoison(buflen, sizeof *buflen);
    __msan_unpoison(tok, sizeof *tok);
    return result;
}
