# Verify a webhook of Sextant (Standard Webhooks 1.0, v1). Works in Windows PowerShell 5.1 and PowerShell 7.
# Dot-source this file and call Test-SextantWebhook with the raw bytes of the body, before any parsing.
# It gives the message's id, and throws for everything that is not a genuine, timely message.
# v1a (ed25519) is not in .NET's standard library: use v1 here.

function Test-SextantWebhook {
    [CmdletBinding()]
    param(
        [Parameter(Mandatory)] [string] $Secret,
        [Parameter(Mandatory)] [System.Collections.IDictionary] $Headers,
        [Parameter(Mandatory)] [AllowEmptyCollection()] [byte[]] $Body,
        [int] $ToleranceSeconds = 300,
        [long] $Now = [DateTimeOffset]::UtcNow.ToUnixTimeSeconds()
    )
    $named = @{}
    foreach ($name in $Headers.Keys) { $named[([string]$name).ToLowerInvariant()] = [string]$Headers[$name] }
    $id = $named['webhook-id']; $stamp = $named['webhook-timestamp']
    if (-not $id -or $id.Contains('.') -or $stamp -cnotmatch '\A[0-9]{1,12}\z') {
        throw 'a header is missing or malformed'
    }
    if ([Math]::Abs($Now - [long]$stamp) -gt $ToleranceSeconds) { throw 'too old or too new' }

    $key = [Convert]::FromBase64String($Secret -replace '^whsec_', '')
    $head = [Text.Encoding]::UTF8.GetBytes("$id.$stamp.")
    $signed = New-Object byte[] ($head.Length + $Body.Length)
    [Array]::Copy($head, 0, $signed, 0, $head.Length)
    [Array]::Copy($Body, 0, $signed, $head.Length, $Body.Length)
    $hmac = New-Object System.Security.Cryptography.HMACSHA256
    $hmac.Key = $key
    try { $expected = $hmac.ComputeHash($signed) } finally { $hmac.Dispose() }

    $matched = $false
    foreach ($part in (([string]$named['webhook-signature']) -split ' ' | Select-Object -First 16)) {
        $version, $text = $part -split ',', 2
        if ($version -cne 'v1') { continue }
        try { $given = [Convert]::FromBase64String([string]$text) } catch { continue }
        if ($given.Length -ne $expected.Length) { continue }
        $difference = 0   # every byte is compared, so that time tells nothing
        for ($i = 0; $i -lt $expected.Length; $i++) { $difference = $difference -bor ($given[$i] -bxor $expected[$i]) }
        if ($difference -eq 0) { $matched = $true }
    }
    if (-not $matched) { throw 'no signature matches' }
    return $id
}
