# Asks a server on loopback, one question after the other; the server waits before it answers.
use strict;
use warnings;
use IO::Socket::INET;

my $listener = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1", Proto => "tcp") or die $!;
my $server = fork;
if (!$server) {
    my $connection = $listener->accept;
    while (<$connection>) {
        select(undef, undef, undef, 0.02);
        print $connection "answer\n";
    }
    exit;
}
my $connection = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $listener->sockport) or die $!;
my $answers = 0;
for (1 .. 55) {
    print $connection "question\n";
    $answers++ if defined <$connection>;
}
close $connection;
waitpid $server, 0;
print "$answers\n";
