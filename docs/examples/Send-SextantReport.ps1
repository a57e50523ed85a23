<#
.SYNOPSIS
    Tells Sextant of Microsoft 365 errors that this device met in the last minutes.

.DESCRIPTION
    Made for endpoint management, for example as the detection script of an Intune remediation.
    Reads the sign-in log of Windows (Microsoft-Windows-AAD/Operational) and what Outlook and Teams
    wrote to the Application log, makes one client report for each kind of error, and posts them.
    Prints one line of compact JSON at the end, which is all that Intune keeps (2,048 characters).
    Runs on Windows PowerShell 5.1 and PowerShell 7; needs no module and no right to administer.

    Names of people and devices are sent as SHA-256 with the tenant's salt, never as they are.

.PARAMETER Url
    Where Sextant is, such as https://sextant.example.

.PARAMETER Key
    A public key (sxt_pub_...), or a key with the scope reports:write, made with --voices 2. A key
    on every device is no secret: whoever takes it must not be able to speak for many.

.PARAMETER Minutes
    How far to look back. Use the interval at which the script runs.

.PARAMETER Salt
    Any text of your own; the same on every device, so that one user counts once.

.PARAMETER Region
    Where the device is, such as de; optional.

.PARAMETER Network
    The site or network of the device, such as berlin-office; optional.

.EXAMPLE
    .\Send-SextantReport.ps1 -Url https://sextant.example -Key sxt_pub_... -Minutes 60 -Salt contoso
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory = $true)] [string] $Url,
    [Parameter(Mandatory = $true)] [string] $Key,
    [ValidateRange(1, 1440)] [int] $Minutes = 60,
    [string] $Salt = 'sextant',
    [string] $Region = '',
    [string] $Network = ''
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$MostReports = 20
$LongestMessage = 500

function Get-Digest {
    param([string] $Text)
    $sha = [System.Security.Cryptography.SHA256]::Create()
    try {
        $bytes = [System.Text.Encoding]::UTF8.GetBytes($Salt + '|' + $Text.ToLowerInvariant())
        return ([System.BitConverter]::ToString($sha.ComputeHash($bytes)) -replace '-', '').ToLowerInvariant()
    }
    finally {
        $sha.Dispose()
    }
}

function Get-Code {
    param([string] $Text)
    $match = [regex]::Match($Text, 'AADSTS\d{5,7}|0x[0-9A-Fa-f]{8}')
    if ($match.Success) { return $match.Value }
    return $null
}

function Get-LogEntry {
    param([hashtable] $Filter)
    try {
        return @(Get-WinEvent -FilterHashtable $Filter -MaxEvents 500)
    }
    catch {
        return @()  # no such log on this device, or nothing in it
    }
}

function New-Report {
    param([string] $Service, [string] $Client, [object[]] $Entries, [string] $Code)
    $newest = $Entries | Sort-Object -Property TimeCreated | Select-Object -Last 1
    $text = [string] $newest.Message
    if ($text.Length -gt $LongestMessage) { $text = $text.Substring(0, $LongestMessage) }
    $report = @{
        service     = $Service
        client      = $Client
        code        = $Code
        message     = $text
        occurred_at = $newest.TimeCreated.ToUniversalTime().ToString('yyyy-MM-ddTHH:mm:ss.fffZ')
        reporter    = Get-Digest -Text ([string] $env:USERNAME)
        device      = Get-Digest -Text ([string] $env:COMPUTERNAME)
        count       = $Entries.Count
    }
    if ($Region) { $report.region = $Region }
    if ($Network) { $report.network = $Network }
    return $report
}

$since = (Get-Date).AddMinutes(-$Minutes)
$logs = @(
    @{ Service = 'entra-id'; Client = 'other'; Filter = @{ LogName = 'Microsoft-Windows-AAD/Operational'; Level = 2; StartTime = $since } },
    @{ Service = 'exchange-online'; Client = 'outlook_desktop'; Filter = @{ LogName = 'Application'; ProviderName = 'Outlook'; Level = @(2, 3); StartTime = $since } },
    @{ Service = 'microsoft-teams'; Client = 'teams_desktop'; Filter = @{ LogName = 'Application'; ProviderName = 'Microsoft Teams'; Level = @(2, 3); StartTime = $since } }
)

$reports = @()
foreach ($log in $logs) {
    $entries = @(Get-LogEntry -Filter $log.Filter)
    $coded = @($entries | Where-Object { $null -ne (Get-Code -Text ([string] $_.Message)) })
    $groups = @($coded | Group-Object -Property { Get-Code -Text ([string] $_.Message) })
    foreach ($group in $groups) {
        $reports += New-Report -Service $log.Service -Client $log.Client -Entries @($group.Group) -Code $group.Name
    }
}
$reports = @($reports | Select-Object -First $MostReports)

$result = @{ sent = 0; codes = @($reports | ForEach-Object { $_.code }); status = 'nothing to report' }
if ($reports.Count -gt 0) {
    $path = '/v1/client-reports'
    if ($Key.StartsWith('sxt_pub_')) { $path = '/v1/intake/browser' }
    $body = ConvertTo-Json -InputObject @($reports) -Depth 4 -Compress
    try {
        [Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12
        $answer = Invoke-RestMethod -Method Post -Uri ($Url.TrimEnd('/') + $path) -TimeoutSec 15 `
            -Headers @{ Authorization = "Bearer $Key" } -ContentType 'application/json; charset=utf-8' `
            -Body ([System.Text.Encoding]::UTF8.GetBytes($body))
        $result.sent = $answer.accepted
        $result.status = 'sent'
    }
    catch {
        $result.status = 'not sent: ' + $_.Exception.Message
    }
}

$line = ConvertTo-Json -InputObject $result -Compress
if ($line.Length -gt 2048) { $line = '{"status":"' + $result.status.Substring(0, [Math]::Min(200, $result.status.Length)).Replace('"', '') + '"}' }
Write-Output $line
exit 0
