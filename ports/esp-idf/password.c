/* password.c - PBKDF2 with SHA-256, by mbedTLS 2.28, 3.x or 4.x. */
#include "password.h"

#include "mbedtls/version.h"

#if MBEDTLS_VERSION_MAJOR >= 4

#include "psa/crypto.h"

static psa_status_t derive(psa_key_derivation_operation_t *o, struct midge_slice password, const uint8_t *salt,
                           uint32_t rounds, uint8_t *out)
{
    psa_status_t s = psa_key_derivation_setup(o, PSA_ALG_PBKDF2_HMAC(PSA_ALG_SHA_256));
    if (s == PSA_SUCCESS)
        s = psa_key_derivation_input_integer(o, PSA_KEY_DERIVATION_INPUT_COST, rounds);
    if (s == PSA_SUCCESS)
        s = psa_key_derivation_input_bytes(o, PSA_KEY_DERIVATION_INPUT_SALT, salt, MIDGE_SALT);
    if (s == PSA_SUCCESS)
        s = psa_key_derivation_input_bytes(o, PSA_KEY_DERIVATION_INPUT_PASSWORD, password.data, password.len);
    return s == PSA_SUCCESS ? psa_key_derivation_output_bytes(o, out, MIDGE_DIGEST) : s;
}

bool midge_password_digest(struct midge_slice password, const uint8_t salt[MIDGE_SALT], uint32_t rounds,
                           uint8_t out[MIDGE_DIGEST])
{
    psa_key_derivation_operation_t o = PSA_KEY_DERIVATION_OPERATION_INIT;
    psa_status_t s = psa_crypto_init();
    if (s == PSA_SUCCESS)
        s = derive(&o, password, salt, rounds, out);
    psa_key_derivation_abort(&o);
    return s == PSA_SUCCESS;
}

#else

#include "mbedtls/md.h"
#include "mbedtls/pkcs5.h"

bool midge_password_digest(struct midge_slice password, const uint8_t salt[MIDGE_SALT], uint32_t rounds,
                           uint8_t out[MIDGE_DIGEST])
{
#if MBEDTLS_VERSION_NUMBER >= 0x03030000
    return mbedtls_pkcs5_pbkdf2_hmac_ext(MBEDTLS_MD_SHA256, password.data, password.len, salt, MIDGE_SALT, rounds,
                                         MIDGE_DIGEST, out) == 0;
#else
    mbedtls_md_context_t md;
    mbedtls_md_init(&md);
    bool ok = mbedtls_md_setup(&md, mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), 1) == 0 &&
              mbedtls_pkcs5_pbkdf2_hmac(&md, password.data, password.len, salt, MIDGE_SALT, rounds, MIDGE_DIGEST,
                                        out) == 0;
    mbedtls_md_free(&md);
    return ok;
#endif
}

#endif
