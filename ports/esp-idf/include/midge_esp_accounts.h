/* midge_esp_accounts.h - who may come in and what he may do, kept in NVS and asked there.
 *
 *     struct midge_esp_accounts *accounts = midge_esp_accounts_open(NULL, NULL);         after nvs_flash_init
 *     midge_esp_accounts_set(accounts, "sensor", "secret", "write sensors/%u/#\nread time");
 *     const struct midge_hooks hooks = {
 *         .user = accounts, .login = midge_esp_accounts_login, .allow = midge_esp_accounts_allow,
 *         .event = midge_esp_report,
 *     };
 *
 * Rights are lines of `read`, `write`, `readwrite` or `deny` and a topic filter, in which %u stands for the user name
 * and %c for the client id. A `deny` that matches wins, then any grant; else no. Changes are lawful from any task, and
 * hold from the next question on, also for those who are connected.
 *
 * Flash keeps a salt and PBKDF2 of the password (SHA-256, MIDGE_PASSWORD_ROUNDS of Kconfig), not the password. While it
 * is computed the broker does nothing else, for unknown names too: the rounds are the price of a wrong guess for both.
 */
#ifndef MIDGE_ESP_ACCOUNTS_H
#define MIDGE_ESP_ACCOUNTS_H

#include "midge/midge.h"

#ifdef __cplusplus
extern "C" {
#endif

struct midge_esp_accounts;

/* partition NULL = "nvs"; space NULL = "midge_users", its NVS namespace. NULL: no memory, or NVS says no. */
MIDGE_MUST_USE struct midge_esp_accounts *midge_esp_accounts_open(const char *partition, const char *space);
/* The broker that asks is freed, or has other hooks. NULL is allowed. */
void midge_esp_accounts_close(struct midge_esp_accounts *a);

/* An account, new or in place of the old one of that name. name NULL: clients without a user name. password NULL: any
 * will do, or none. rights NULL = all, "" = none. INVALID: a line of rights is wrong, or name or rights are longer than
 * 200 and 2,000 bytes. FULL: NVS says no; nothing changed. */
MIDGE_MUST_USE enum midge_err midge_esp_accounts_set(struct midge_esp_accounts *a, const char *name,
                                                     const char *password, const char *rights);
MIDGE_MUST_USE enum midge_err midge_esp_accounts_remove(struct midge_esp_accounts *a, const char *name);

/* As midge_hooks. A client without an account is refused; in-process clients may do all. */
void midge_esp_accounts_login(void *accounts, const struct midge_login *in, struct midge_login_answer *out);
bool midge_esp_accounts_allow(void *accounts, const struct midge_who *who, enum midge_access what,
                              struct midge_slice topic);

#ifdef __cplusplus
}
#endif
#endif
