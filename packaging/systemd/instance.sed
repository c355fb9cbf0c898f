# Makes the units of a further instance, plugserverd@NAME, out of those of the
# first: the same service and sandbox, with folders, settings and a user of its own.
s#plugserverd\.s(ocket|ervice)#plugserverd@%i.s\1#g
s#^(Description=.*)#\1, instance %i#
s#(/var/lib/|/var/cache/|/var/log/|/run/|Directory=| )plugserver(/| |$)#\1plugserver@%i\2#g
s#^EnvironmentFile=.*#Environment=PLUGSERVER_STATE=/var/lib/plugserver@%i PLUGSERVER_HANDLERS=/var/lib/plugserver@%i/handlers\
Environment=PLUGSERVER_CONFIG=/etc/plugserver/plugserverd@%i.conf\
Environment=PLUGSERVER_BUILD=off\
EnvironmentFile=-/etc/default/plugserverd@%i\
\# The administrator's, as the first instance's is.\
ExecStartPre=+/usr/bin/install -d -m 0755 /var/lib/plugserver@%i/handlers /var/lib/plugserver@%i/sync#
s#/system.slice/plug#/system.slice/system-plugserverd.slice/plug#
s#^User=.*#\# Made as the service starts, unless there is such a user.\
DynamicUser=yes\
User=plugserver-%i#
s#^Group=.*#Group=plugserver-%i#
# Which port it is the administrator says; until then a proxy finds it here.
s#^ListenStream=.*#ListenStream=/run/plugserverd@%i.socket#
