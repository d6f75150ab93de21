# midge in a container: docker build -t midge . && docker run -p 1883:1883 -v midge:/var/lib/midge midge
#
# A configuration of your own: -v /your/midge.conf:/etc/midge/midge.conf:ro
FROM debian:bookworm-slim AS build
COPY . /midge
WORKDIR /midge
RUN script/package

FROM debian:bookworm-slim
COPY --from=build /midge/build/package/midge_*.deb /tmp/
RUN apt-get update && apt-get install -y --no-install-recommends /tmp/midge_*.deb && \
    rm -rf /tmp/midge_*.deb /var/lib/apt/lists/* && \
    printf 'listener 1883\nallow_anonymous true\n' >/etc/midge/conf.d/container.conf
USER midge
VOLUME /var/lib/midge
EXPOSE 1883
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/midge"]
CMD ["-c", "/etc/midge/midge.conf"]
