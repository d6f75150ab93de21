/* main.c - starts app_main as ESP-IDF does. */
void app_main(void);

int main(void)
{
    app_main();
    return 0;
}
