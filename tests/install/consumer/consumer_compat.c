/* consumer_compat.c - compiles and links against the drop-in header; the broker is not run. */
#include <mosq_broker.h>
#include <stddef.h>

int main(int argc, char **argv)
{
    (void)argv;
    struct mosq_broker_config config = { .host = "127.0.0.1", .port = 1883 };
    return argc > 1 ? mosq_broker_run(&config) : 0;
}
