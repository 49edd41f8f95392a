/*
 * The memory sanitizer's view of nettle, mpack and PCRE2, which are not compiled with it.
 *
 * It takes whatever they write for never written. So in its build the linker sends each of the library's calls to
 * them through the wrapper below (`--wrap=NAME`, one for every `__wrap_NAME(` in this file): the wrapper checks that
 * the inputs are initialised, calls the real function, and declares the outputs written. The sources know nothing of it.
 *
 * PCRE2 calls back for memory: what it hands over is declared written on the way.
 *
 * A function of theirs that the library starts to call and that has no wrapper here shows itself as a false report in the
 * sanitizer's tests, never as a missed one.
 */
#include <sanitizer/msan_interface.h>
#include <stddef.h>
#include <stdint.h>

#include <mpack.h>
#include <nettle/aes.h>
#include <nettle/base64.h>
#include <nettle/chacha.h>
#include <nettle/gcm.h>
#include <nettle/memops.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

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
WRAP(nettle_base64_encode_raw);
WRAP(nettle_base64_decode_init);
WRAP(nettle_base64_decode_update);
WRAP(nettle_base64_decode_final);
WRAP(pcre2_general_context_create_8);
WRAP(pcre2_match_8);
WRAP(pcre2_get_ovector_pointer_8);
WRAP(pcre2_get_error_message_8);
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

void __wrap_nettle_base64_encode_raw(char *dst, size_t length, const uint8_t *src)
{
    __msan_check_mem_is_initialized(src, length);
    __real_nettle_base64_encode_raw(dst, length, src);
    __msan_unpoison(dst, BASE64_ENCODE_RAW_LENGTH(length));
}

void __wrap_nettle_base64_decode_init(struct base64_decode_ctx *ctx)
{
    __real_nettle_base64_decode_init(ctx);
    __msan_unpoison(ctx, sizeof *ctx);
}

int __wrap_nettle_base64_decode_update(struct base64_decode_ctx *ctx, size_t *dst_length, uint8_t *dst,
                                       size_t src_length, const char *src)
{
    __msan_check_mem_is_initialized(src, src_length);
    int result = __real_nettle_base64_decode_update(ctx, dst_length, dst, src_length, src);
    __msan_unpoison(&result, sizeof result);
    __msan_unpoison(ctx, sizeof *ctx);
    __msan_unpoison(dst_length, sizeof *dst_length);
    if (result)
        __msan_unpoison(dst, *dst_length);
    return result;
}

int __wrap_nettle_base64_decode_final(struct base64_decode_ctx *ctx)
{
    int result = __real_nettle_base64_decode_final(ctx);
    __msan_unpoison(&result, sizeof result);
    return result;
}

/* The one pair that the library has. */
static void *(*memory_take)(size_t size, void *mem);
static void (*memory_give)(void *ptr, void *mem);

static __attribute__((no_sanitize("memory"))) void *memory_taken(size_t size, void *mem)
{
    __msan_unpoison_param(2);
    return memory_take(size, mem);
}

static __attribute__((no_sanitize("memory"))) void memory_given(void *ptr, void *mem)
{
    __msan_unpoison_param(2);
    memory_give(ptr, mem);
}

pcre2_general_context_8 *__wrap_pcre2_general_context_create_8(void *(*take)(size_t, void *), void (*give)(void *, void *),
                                                               void *mem)
{
    memory_take = take;
    memory_give = give;
    return __real_pcre2_general_context_create_8(memory_taken, memory_given, mem);
}

int __wrap_pcre2_match_8(const pcre2_code_8 *code, PCRE2_SPTR8 text, size_t length, size_t start, uint32_t options,
                         pcre2_match_data_8 *data, pcre2_match_context_8 *context)
{
    __msan_check_mem_is_initialized(text, length);
    int result = __real_pcre2_match_8(code, text, length, start, options, data, context);
    __msan_unpoison(&result, sizeof result);
    return result;
}

size_t *__wrap_pcre2_get_ovector_pointer_8(pcre2_match_data_8 *data)
{
    size_t *range = __real_pcre2_get_ovector_pointer_8(data);
    __msan_unpoison(&range, sizeof range);
    __msan_unpoison(range, 2 * sizeof *range);
    return range;
}

int __wrap_pcre2_get_error_message_8(int code, PCRE2_UCHAR8 *text, size_t cap)
{
    int result = __real_pcre2_get_error_message_8(code, text, cap);
    __msan_unpoison(&result, sizeof result);
    __msan_unpoison(text, cap);
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
