# holder.pl PORT PROGRAM [ARG...]: holds a listening socket for a program, as systemd does for a
# service with a socket unit. It starts the program for each line of standard input, and ends it by
# SIGTERM first if it runs. With the end of standard input it ends the program and itself.
use strict;
use warnings;
use IO::Socket::INET;
use POSIX ();

my $port = shift @ARGV;
$^F = 10;    # descriptors up to it outlive exec
my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 4096, ReuseAddr => 1)
    or die "listen on $port: $!\n";
my $child;

sub stop {
    return unless $child;
    kill 'TERM', $child;
    waitpid $child, 0;
    $child = undef;
}

while (my $line = <STDIN>) {
    stop();
    $child = fork // die "fork: $!\n";
    next if $child;
    POSIX::dup2(fileno $socket, 3) // die "dup2: $!\n";
    $ENV{LISTEN_PID} = $$;
    $ENV{LISTEN_FDS} = 1;
    exec @ARGV or die "exec: $!\n";
}
stop();
